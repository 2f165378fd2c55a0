import { Module, type OnApplicationShutdown } from '@nestjs/common';
import { closeCache } from './cache.ts';
import { HealthController } from './health.controller.ts';
import { PoliciesController } from './policies.controller.ts';
import { PoliciesService } from './policies.service.ts';

@Module({ controllers: [PoliciesController, HealthController], providers: [PoliciesService] })
export class AppModule implements OnApplicationShutdown {
  onApplicationShutdown(): Promise<void> {
    return closeCache();
  }
}
