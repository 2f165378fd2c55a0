import { isHotpathError } from '@hotpath/core';
import { circuitBreaker, pipeline, timeout } from '@hotpath/resilience';
import { redisRateLimiter } from '@hotpath/resilience/redis';
import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';

export interface Mail {
  readonly to: string;
  readonly text: string;
}

/** Hands one mail to the provider; fails when it does not take it. */
export type Send = (mail: Mail, signal: AbortSignal) => Promise<void>;

export interface MailWorkerOptions {
  /** For the queue; it waits in it, so it is a connection of its own. */
  readonly connection: Redis;
  /** For the limit that all workers share. */
  readonly redis: Redis;
  readonly send: Send;
  /** What the provider allows the whole fleet in a second. */
  readonly mailsPerSecond: number;
  /** How many workers there are: while Redis is lost, each takes its share. */
  readonly workers: number;
}

const PROBE_PAUSE_MS = 100;

/**
 * A worker that keeps the fleet below the provider's limit, and leaves the provider alone while it is down.
 *
 * A job that was refused goes back to the queue and is not counted as an attempt: nothing was tried.
 */
export function createMailWorker({
  connection,
  redis,
  send,
  mailsPerSecond,
  workers,
}: MailWorkerOptions): Worker<Mail> {
  const limit = redisRateLimiter({
    redis,
    limit: mailsPerSecond,
    name: 'mails',
    onLost: 'share',
    nodes: workers,
  });
  const guarded = pipeline(
    circuitBreaker({ name: 'provider', minimumCalls: 5, openMs: 1_000 }),
    timeout(5_000),
  );

  const worker = new Worker<Mail>(
    'mails',
    async ({ data }) => {
      const admission = await limit.tryAcquire();
      if (!admission.allowed) throw await pause(worker, admission.retryAfterMs);
      try {
        await guarded.execute(({ signal }) => send(data, signal));
      } catch (error) {
        if (!isHotpathError(error, 'HOTPATH_CIRCUIT_OPEN')) throw error;
        // While a single probe is under way nobody knows how long.
        const { retryAfterMs = PROBE_PAUSE_MS } = error as { readonly retryAfterMs?: number };
        throw await pause(worker, retryAfterMs);
      }
    },
    { connection, concurrency: 10 },
  );
  worker.once('closed', () => {
    void Promise.all([limit.close(), guarded.close()]);
  });
  return worker;
}

/** Tells the queue to hand out nothing for a while, and gives what returns the job to it. */
async function pause(worker: Worker, retryAfterMs: number): Promise<Error> {
  await worker.rateLimit(Math.max(1, Math.ceil(retryAfterMs)));
  return Worker.RateLimitError();
}
