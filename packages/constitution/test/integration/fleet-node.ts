// One node of a fleet: serves with the pin file it was started with, its clock off by some time, and calls its peers without pause.

import { systemClock } from '@hotpath/core';
import Fastify from 'fastify';
import { Agent, request } from 'undici';
import { constitutionPlugin } from '../../src/fastify.ts';
import { createConstitution } from '../../src/index.ts';
import { constitutionInterceptor } from '../../src/undici.ts';

const [, , pinFile, port, skewMs, ...peers] = process.argv as string[];
const clock = { ...systemClock, wallTime: () => systemClock.wallTime() + Number(skewMs) };
const constitution = createConstitution({ pinFile: pinFile as string, clock });
// A node that is stopping still answers what reaches it, as behind a balancer that drains it first.
const app = Fastify({ return503OnClosing: false });
await app.register(constitutionPlugin, { constitution });
app.get('/work', async () => ({ version: constitution.version }));
await app.listen({ port: Number(port), host: '127.0.0.1' });
process.send?.({ listening: constitution.version });

const dispatcher = new Agent({ connections: 2 }).compose(constitutionInterceptor(constitution));
const counts: Record<string, number> = {};
let stopping = false;

async function callPeers(): Promise<void> {
  while (!stopping) {
    for (const peer of peers) {
      const key = await request(`http://127.0.0.1:${peer}/work`, { dispatcher }).then(
        async ({ statusCode, body }) => {
          await body.dump();
          return `${constitution.version}:${statusCode}`;
        },
        // A peer that is just being started again.
        () => 'away',
      );
      counts[key] = (counts[key] ?? 0) + 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const calling = callPeers();

process.on('message', async (message) => {
  if (message === 'counts')
    return process.send?.({ counts, version: constitution.version, stats: constitution.stats() });
  stopping = true;
  await calling;
  await app.close();
  await dispatcher.close();
  constitution.close();
  process.send?.({ counts });
  process.disconnect();
});
