import { Controller, Get, Param, Post } from '@nestjs/common';
import { PoliciesService, type Policy } from './policies.service.ts';

@Controller('policies')
export class PoliciesController {
  constructor(private readonly policies: PoliciesService) {}

  @Get(':id')
  find(@Param('id') id: string): Promise<Policy> {
    return this.policies.find(id);
  }

  @Post(':id/revisions')
  revise(@Param('id') id: string): Promise<Policy> {
    return this.policies.revise(id);
  }
}
