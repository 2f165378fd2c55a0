// Two processes share a cache in Redis: what one changes, the other one no longer serves.
import { setTimeout as sleep } from 'node:timers/promises';
import { createCache } from '@hotpath/cache';
import { Redis } from 'ioredis';

const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
// A cache opens connections of its own, so two of them in one process are as far apart as two processes.
const here = createCache({ namespace: 'shop', redis });
const there = createCache({ namespace: 'shop', redis });

// Both serve at once, from memory alone until Redis is connected.
while (here.state !== 'up' || there.state !== 'up') await sleep(5);

const prices = new Map([['tea', 4]]);
let loads = 0;
const load = async (product: string): Promise<number | undefined> => {
  loads++;
  return prices.get(product);
};
const priceHere = here.wrap(load, { name: 'price', ttlMs: 600_000 });
const priceThere = there.wrap(load, { name: 'price', ttlMs: 600_000 });

console.log(await priceHere('tea'), await priceThere('tea'), `loads: ${loads}`);

prices.set('tea', 5);
const { confirmed } = await priceHere.invalidate('tea');
console.log(`confirmed: ${confirmed}`);
// Confirmed means: nobody reads the old price for longer than maxStalenessMs (1 s), and mostly not at all.
while ((await priceThere('tea')) !== 5) await sleep(10);
console.log(await priceThere('tea'), `loads: ${loads}`);

await Promise.all([here.close(), there.close()]);
redis.disconnect();
