// Asks three slow sources at once, two at a time, and keeps what succeeded.

import { setTimeout as sleep } from 'node:timers/promises';
import { gather } from '@hotpath/core';

const sources = ['reviews', 'stock', 'prices'];
const results = await gather(
  sources,
  async (source, { signal }) => {
    await sleep(20, undefined, { signal });
    if (source === 'stock') throw new Error('stock is closed');
    return `${source}: 3 entries`;
  },
  { concurrency: 2, itemTimeoutMs: 1_000 },
);
for (const result of results) {
  console.log(result.status === 'ok' ? result.value : `${sources[result.index]}: ${result.error}`);
}
