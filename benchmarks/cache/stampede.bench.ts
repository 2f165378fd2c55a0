import { strict as assert } from 'node:assert';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  type Contender,
  defineSuite,
  type Role,
  redisServer,
  type ServerAddress,
  type ServerStarter,
} from '../harness/index.ts';

const PROCESSES = 4;
const CALLS = 1_000;
const worker = fileURLToPath(new URL('stampede-worker.ts', import.meta.url));

/** Four processes call for one key 1,000 times each at once; the figure is how often its loader ran. */
function contender(
  role: Role,
  library: string,
  note: string,
): Contender<undefined, { readonly redis: ServerStarter<ServerAddress> }> {
  return {
    role,
    library,
    note,
    async setup({ servers }) {
      const children = Array.from({ length: PROCESSES }, () => fork(worker, [library, servers.redis.url]));
      await Promise.all(children.map((child) => once(child, 'message')));
      let rounds = 0;
      return {
        async run() {
          const key = `key ${process.pid} ${++rounds}`;
          const startedMs = performance.now();
          const answers = await Promise.all(children.map((child) => ask(child, key)));
          const loads = answers.reduce((sum, answer) => sum + answer.loads, 0);
          for (const answer of answers) assert.deepEqual(answer.values, [`value of ${key}`]);
          return { loads, tookMs: performance.now() - startedMs };
        },
        check: ({ loads }) => assert.ok(loads >= 1),
        close: async () => {
          for (const child of children) child.disconnect();
          await Promise.all(children.map((child) => once(child, 'exit')));
        },
      };
    },
  };
}

async function ask(
  child: ChildProcess,
  key: string,
): Promise<{ readonly values: readonly string[]; readonly loads: number }> {
  const answer = once(child, 'message');
  child.send({ key, calls: CALLS });
  return (await answer)[0];
}

export default defineSuite({
  name: 'stampede',
  title: '1,000 concurrent misses of one key in each of 4 processes, a load of 50 ms',
  kind: 'scenario',
  figure: 'loads',
  better: 'lower',
  parameters: { processes: PROCESSES, calls: CALLS },
  servers: { redis: redisServer() },
  contenders: {
    'layered-loader': contender('peer', 'layered-loader', 'defaults'),
    'async-cache-dedupe': contender('peer', 'async-cache-dedupe', 'Redis storage, ttl 300 s'),
    bentocache: contender('peer', 'bentocache', 'memory and Redis, ioredis 5'),
    cacheable: contender('peer', 'cacheable', 'memory and Redis'),
    hotpath: contender('ours', '@hotpath/cache', 'defaults'),
  },
  goals: [{ figure: 'loads', atMost: 1 }],
});
