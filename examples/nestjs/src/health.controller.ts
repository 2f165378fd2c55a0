import { Controller, Get } from '@nestjs/common';
import { cache } from './cache.ts';
import { PoliciesService } from './policies.service.ts';

@Controller('health')
export class HealthController {
  constructor(private readonly policies: PoliciesService) {}

  @Get()
  health(): { cache: string; loads: number } {
    return { cache: cache.state, loads: this.policies.loads };
  }
}
