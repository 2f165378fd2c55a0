import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ServerError } from './errors.ts';
import { redisCommand } from './internal/redis-command.ts';
import { launchRedis, type RedisServer, type StartRedisOptions, startRedis } from './redis.ts';

/** Three Redis masters that share all slots. */
export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly RedisServer[];
}

/** A Redis primary with a replica, watched by one Sentinel. */
export interface RedisSentinelGroup extends AsyncDisposable {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;
  /** What the Sentinel calls the primary. */
  readonly name: string;
}

const SLOTS = 16_384;
const NODES = 3;
const READY_TIMEOUT_MS = 30_000;

/**
 * Starts a Redis Cluster of three masters on loopback and resolves when each of them sees all slots served.
 *
 * @throws ServerError as {@link startRedis} does.
 */
export async function startRedisCluster(
  options: Pick<StartRedisOptions, 'command'> = {},
): Promise<RedisCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  const nodes = await Promise.all(Array.from({ length: NODES }, () => startRedis({ ...options, args })));
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  };
  try {
    await Promise.all(
      nodes.map(async ({ port }, index) => {
        const first = Math.floor((index * SLOTS) / NODES);
        const end = Math.floor(((index + 1) * SLOTS) / NODES);
        const slots = Array.from({ length: end - first }, (_, slot) => first + slot);
        await expectOk(port, 'CLUSTER', 'ADDSLOTS', ...slots);
        await expectOk(port, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
      }),
    );
    const [first, ...others] = nodes as [RedisServer, ...RedisServer[]];
    for (const { port } of others) await expectOk(first.port, 'CLUSTER', 'MEET', '127.0.0.1', port);
    await Promise.all(
      nodes.map(({ port }) =>
        until('the cluster did not form', async () => {
          const info = await redisCommand(port, 'CLUSTER', 'INFO');
          return (
            info.includes('cluster_state:ok') &&
            info.includes(`cluster_slots_ok:${SLOTS}`) &&
            info.includes(`cluster_size:${NODES}`)
          );
        }),
      ),
    );
  } catch (error) {
    await dispose();
    throw error;
  }
  return { nodes, [Symbol.asyncDispose]: dispose };
}

/**
 * Starts a primary, a replica and a Sentinel that fails over after 500 ms; resolves when the replica is in step.
 *
 * @throws ServerError as {@link startRedis} does.
 */
export async function startRedisSentinel(): Promise<RedisSentinelGroup> {
  const name = 'hotpath';
  const started: RedisServer[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(started.map((server) => server[Symbol.asyncDispose]()));
  };
  try {
    // After a diskless sync a replica gets no writes before its first acknowledgement, a second later.
    const primary = await startRedis({ args: ['--repl-diskless-sync', 'no'] });
    started.push(primary);
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port)] });
    started.push(replica);
    await until('the replica did not follow', async () =>
      (await redisCommand(primary.port, 'INFO', 'replication')).includes('state=online'),
    );
    const sentinel = await launchRedis({}, (port, directory) => {
      // The Sentinel rewrites its file, and takes no other settings than from there.
      const config = join(directory, 'sentinel.conf');
      writeFileSync(
        config,
        `port ${port}
bind 127.0.0.1
dir ${directory}
sentinel monitor ${name} 127.0.0.1 ${primary.port} 1
sentinel down-after-milliseconds ${name} 500
sentinel failover-timeout ${name} 2000
`,
      );
      return [config, '--sentinel'];
    });
    started.push(sentinel);
    await until('the Sentinel did not find the replica', async () =>
      (await redisCommand(sentinel.port, 'INFO', 'sentinel')).includes('slaves=1'),
    );
    return { primary, replica, sentinel, name, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function expectOk(port: number, ...args: readonly (string | number)[]): Promise<void> {
  const reply = await redisCommand(port, ...args);
  if (reply !== 'OK') throw new ServerError('START_FAILED', `${args.slice(0, 2).join(' ')}: ${reply}`);
}

async function until(complaint: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await isDone())) {
    if (performance.now() > deadlineMs) throw new ServerError('START_TIMEOUT', complaint);
    await delay(20);
  }
}
