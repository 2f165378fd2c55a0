// One of the processes of the stampede suite: caches one loader by the library that it is told.
import { setTimeout as sleep } from 'node:timers/promises';
import { opened } from './redis-caches.ts';

const [library, url] = process.argv.slice(2) as [string, string];
let loads = 0;
const cache = await opened(library, url, async (key) => {
  loads++;
  await sleep(50);
  return `value of ${key}`;
});

process.on('message', async ({ key, calls }: { key: string; calls: number }) => {
  const before = loads;
  const values = await Promise.all(Array.from({ length: calls }, () => cache.get(key)));
  process.send?.({ values: [...new Set(values)], loads: loads - before });
});
process.on('disconnect', () => {
  Promise.resolve(cache.close()).finally(() => process.exit());
});
process.send?.('ready');
