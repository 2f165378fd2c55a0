import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { ServerError, startRedis, startRedisCluster, startRedisSentinel } from '../../src/index.ts';
import { redisCommand } from '../../src/internal/redis-command.ts';

afterEach(() => vi.unstubAllEnvs());

test('a Redis server answers, and is gone with its folder after disposal', async () => {
  const redis = await startRedis();
  expect(redis.url).toBe(`redis://${redis.host}:${redis.port}`);
  expect(await redisCommand(redis.port, 'SET', 'a', '1')).toBe('OK');
  expect(await redisCommand(redis.port, 'GET', 'a')).toBe('1');
  await redis[Symbol.asyncDispose]();
  expect(redis.pid).toBe(0);
  expect(existsSync(redis.directory)).toBe(false);
  await expect(redisCommand(redis.port, 'PING')).rejects.toThrow('ECONNREFUSED');
});

test('a killed Redis server starts again on its port with what it had saved', async () => {
  await using redis = await startRedis();
  await redisCommand(redis.port, 'SET', 'saved', 'yes');
  await redisCommand(redis.port, 'SAVE');
  await redisCommand(redis.port, 'SET', 'unsaved', 'yes');
  const { pid } = redis;
  await redis.kill();
  expect(redis.pid).toBe(0);
  await redis.restart();
  expect(redis.pid).not.toBe(pid);
  expect(await redisCommand(redis.port, 'GET', 'saved')).toBe('yes');
  expect(await redisCommand(redis.port, 'GET', 'unsaved')).toBe('');
});

test('a frozen Redis server accepts connections but answers only after it thawed', async () => {
  await using redis = await startRedis();
  redis.freeze();
  const socket = connect(redis.port, redis.host);
  const replied = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write('PING\r\n');
  const silence = new Promise((resolve) => setTimeout(resolve, 150, 'silence'));
  expect(await Promise.race([replied, silence])).toBe('silence');
  redis.thaw();
  expect(await replied).toBe('+PONG\r\n');
  socket.destroy();
});

test('a frozen Redis server can be stopped', async () => {
  await using redis = await startRedis();
  redis.freeze();
  await redis.stop();
  expect(redis.pid).toBe(0);
});

test('arguments reach the server and win over the defaults', async () => {
  await using redis = await startRedis({ args: ['--requirepass', 'secret', '--appendonly', 'yes'] });
  expect(await redisCommand(redis.port, 'PING')).toContain('-NOAUTH');
});

test('many servers run at once', async () => {
  const servers = await Promise.all(Array.from({ length: 5 }, () => startRedis()));
  expect(new Set(servers.map((server) => server.port)).size).toBe(5);
  await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
});

test('without a server program on the PATH the error says what to install', async () => {
  vi.stubEnv('PATH', '/nowhere');
  const error = await startRedis().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ServerError);
  expect(error).toMatchObject({ code: 'NOT_INSTALLED', message: expect.stringContaining('install') });
});

test('a server that can not start fails with the end of its log', async () => {
  const error = await startRedis({ args: ['--no-such-setting', '1'] }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('no-such-setting') });
});

test('a server is not taken for another one that answers on its port', async () => {
  await using first = await startRedis();
  const second = await startRedis({ port: first.port }).catch((error: unknown) => error);
  expect(second).toBeInstanceOf(ServerError);
  expect(second).toMatchObject({ code: 'START_FAILED' });
});

test('a cluster of three masters serves all slots', async () => {
  await using cluster = await startRedisCluster();
  expect(cluster.nodes).toHaveLength(3);
  const replies = await Promise.all(
    cluster.nodes.map(({ port }) => redisCommand(port, 'SET', 'key', 'value')),
  );
  expect(replies.filter((reply) => reply === 'OK')).toHaveLength(1);
  expect(replies.filter((reply) => reply.startsWith('-MOVED'))).toHaveLength(2);
});

test('a Sentinel makes the replica the primary when the primary is killed', async () => {
  await using group = await startRedisSentinel();
  await redisCommand(group.primary.port, 'SET', 'a', '1');
  await vi.waitFor(async () => expect(await redisCommand(group.replica.port, 'GET', 'a')).toBe('1'));
  await group.primary.kill();
  await vi.waitFor(
    async () =>
      expect(await redisCommand(group.replica.port, 'INFO', 'replication')).toContain('role:master'),
    { timeout: 20_000, interval: 50 },
  );
  expect(await redisCommand(group.replica.port, 'GET', 'a')).toBe('1');
});
