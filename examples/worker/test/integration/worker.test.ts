import { type RedisServer, startRedis } from '@hotpath/testkit';
import { Queue, type Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createMailWorker, type Mail, type Send } from '../../src/worker.ts';

let server: RedisServer;
let queue: Queue<Mail>;
let connections: Redis[];
let workers: Worker<Mail>[];

function connect(): Redis {
  const redis = new Redis(server.url, { maxRetriesPerRequest: null });
  connections.push(redis);
  return redis;
}

function startWorker(send: Send, mailsPerSecond: number): Worker<Mail> {
  const worker = createMailWorker({
    connection: connect(),
    redis: connect(),
    send,
    mailsPerSecond,
    workers: 2,
  });
  workers.push(worker);
  return worker;
}

/** Adds jobs and resolves when every one of them is done. */
async function runAll(count: number): Promise<void> {
  let done = 0;
  const all = new Promise<void>((resolve) => {
    for (const worker of workers) worker.on('completed', () => ++done === count && resolve());
  });
  await queue.addBulk(
    Array.from({ length: count }, (_, index) => ({
      name: 'mail',
      data: { to: `${index}@example.org`, text: 'hello' },
      opts: { attempts: 5 },
    })),
  );
  await all;
}

beforeAll(async () => {
  server = await startRedis();
});

beforeEach(async () => {
  connections = [];
  workers = [];
  queue = new Queue('mails', { connection: connect() });
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await queue.obliterate({ force: true });
  await queue.close();
  for (const redis of connections) redis.disconnect();
  await server.restart();
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

test('two workers together stay below the limit of their provider, and every job is done', async () => {
  const sentAt: number[] = [];
  const send: Send = async () => {
    sentAt.push(performance.now());
  };
  startWorker(send, 20);
  startWorker(send, 20);
  await runAll(60);
  expect(sentAt).toHaveLength(60);
  // The bucket starts with a burst of 2; the other 58 come at 20 a second.
  expect((sentAt.at(-1) as number) - (sentAt[0] as number)).toBeGreaterThanOrEqual(2_850);
});

test('while the provider is down it is left alone, and jobs wait instead of failing', async () => {
  let isDown = true;
  let calls = 0;
  const failed: string[] = [];
  const reasons = new Set<string>();
  const worker = startWorker(async () => {
    calls++;
    if (isDown) throw new Error('connection refused');
  }, 1_000);
  worker.on('failed', (job, error) => {
    reasons.add(error.message);
    if (job !== undefined && job.attemptsMade >= 5) failed.push(job.id as string);
  });
  const recovery = setTimeout(() => {
    isDown = false;
  }, 2_500);
  await runAll(30);
  clearTimeout(recovery);
  expect(failed).toEqual([]);
  // What was refused was not tried, and did not fail.
  expect([...reasons]).toEqual(['connection refused']);
  // Thirty jobs with five attempts each would have been 150 calls.
  expect(calls).toBeLessThan(120);
});
