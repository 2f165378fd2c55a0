import { createCache } from '@hotpath/cache';
import { Redis } from 'ioredis';

const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');

/**
 * The cache of this service.
 *
 * A decorator needs it when its class is defined, so it is made with the module, not by the container.
 */
export const cache = createCache({ namespace: 'nestjs-example', redis, ttlMs: 300_000 });

export async function closeCache(): Promise<void> {
  await cache.close();
  redis.disconnect();
}
