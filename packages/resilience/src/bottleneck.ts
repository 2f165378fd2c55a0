import {
  AbortedError,
  type Clock,
  describe,
  optionReader,
  RejectedError,
  sleep,
  systemClock,
} from '@hotpath/core';
import Bottleneck from 'bottleneck';
import { limited, queueFull, wrongArgument } from './internal/limiter-errors.ts';
import { checkedPriority } from './internal/waiting-room.ts';
import type { RateLimiter } from './rate-limiter-types.ts';

/** No wait for the limiter's own waiting room is shorter, so that a full one can't make it spin. */
const LEAST_WAIT_MS = 1;

/** How a schedule may end a job before it has begun. */
export type ScheduleError =
  | RejectedError<'HOTPATH_RATE_LIMITED' | 'HOTPATH_RATE_QUEUE_FULL'>
  | AbortedError<'HOTPATH_CLOSED'>;

/** What {@link bottleneckSchedule} takes besides the limiter. */
export interface BottleneckScheduleOptions {
  /** How many jobs may wait; those that have left count until their turn has come. Default 1,000. */
  readonly maxWaiting?: number | undefined;
  /** How many jobs that had to wait run at once. Default: no bound. */
  readonly maxConcurrent?: number | undefined;
  /** Whose units the jobs spend; absent: those of the limiter as a whole. */
  readonly key?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** What {@link BottleneckSchedule.schedule} takes besides the job. */
export interface JobOptions {
  /** Who goes first: from 0 to 9, as bottleneck has it. Default 5. */
  readonly priority?: number | undefined;
  /** How many units the job spends. Default 1; a whole number. */
  readonly weight?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Jobs that run as a limiter admits them, in bottleneck's order. */
export interface BottleneckSchedule {
  /** bottleneck's queue, for its events, `counts()` and `queued()`. Only jobs that had to wait pass through it. */
  readonly queue: Bottleneck;
  /**
   * Runs `job` at once where there is room, else when its turn comes.
   *
   * @throws RejectedError (HOTPATH_RATE_QUEUE_FULL) when `maxWaiting` wait; (HOTPATH_RATE_LIMITED) when `weight` is above the limiter's burst.
   * @throws AbortedError (HOTPATH_CLOSED) after `close()` of this schedule or, while it waits, of the limiter.
   * @throws RangeError or TypeError when an argument is wrong. The signal's reason, untouched.
   */
  schedule<Value>(job: () => PromiseLike<Value> | Value, options?: JobOptions): Promise<Value>;
  readonly waiting: number;
  /** Rejects who waits; jobs that run go on, and are not waited for. The limiter stays open. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

class ReservoirSchedule implements BottleneckSchedule {
  readonly queue: Bottleneck;
  readonly #limiter: RateLimiter;
  readonly #maxWaiting: number;
  readonly #key: string | undefined;
  readonly #clock: Clock;
  readonly #leavers = new Set<(reason: unknown) => void>();
  readonly #stop = new AbortController();
  #waiting = 0;
  /** Units that queued jobs need and that have not been put into the reservoir. */
  #owed = 0;
  #pumping = false;

  constructor(
    limiter: RateLimiter,
    maxWaiting: number,
    maxConcurrent: number | null,
    key: string | undefined,
    clock: Clock,
  ) {
    this.#limiter = limiter;
    this.#maxWaiting = maxWaiting;
    this.#key = key;
    this.#clock = clock;
    // An empty reservoir without a refresh: bottleneck orders the jobs, and never decides when one runs.
    this.queue = new Bottleneck({ reservoir: 0, maxConcurrent });
  }

  get waiting(): number {
    return this.#waiting;
  }

  async schedule<Value>(job: () => PromiseLike<Value> | Value, options: JobOptions = {}): Promise<Value> {
    const { weight = 1, signal } = options;
    if (typeof job !== 'function') {
      throw new TypeError(`bottleneckSchedule: the job must be a function, got ${describe(job)}`);
    }
    if (!(Number.isInteger(weight) && weight > 0)) {
      throw wrongArgument('bottleneckSchedule', 'weight', 'a whole number above 0', weight);
    }
    const priority = checkedPriority('bottleneckSchedule', options.priority);
    this.#stop.signal.throwIfAborted();
    signal?.throwIfAborted();
    if (this.#waiting === 0) {
      const admission = this.#limiter.tryAcquire(weight, this.#key);
      if (admission.allowed) return job();
      if (admission.retryAfterMs === Number.POSITIVE_INFINITY)
        throw limited(this.#limiter.name, admission.retryAfterMs);
    }
    // Counted here: bottleneck's own high-water mark does not see jobs that it has received but not yet queued.
    if (this.#waiting >= this.#maxWaiting) throw queueFull(this.#limiter.name, this.#waiting, undefined);
    return this.#enqueue(job, priority, weight, signal);
  }

  close(): Promise<void> {
    this.#end(new AbortedError('HOTPATH_CLOSED', 'this schedule is closed'));
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(reason: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(reason);
    for (const leave of this.#leavers) leave(reason);
    // Not waited for: it would wait for jobs that run, also for one that never ends.
    this.queue.stop({ dropWaitingJobs: true }).catch(() => {});
  }

  #enqueue<Value>(
    job: () => PromiseLike<Value> | Value,
    priority: number,
    weight: number,
    signal: AbortSignal | undefined,
  ): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      let left = false;
      const leave = (reason: unknown): void => {
        left = true;
        settle();
        reject(reason);
      };
      const onAbort = (): void => leave(signal?.reason);
      const settle = (): void => {
        this.#leavers.delete(leave);
        signal?.removeEventListener('abort', onAbort);
      };
      this.#leavers.add(leave);
      signal?.addEventListener('abort', onAbort);
      this.#waiting++;
      this.#owed += weight;
      const turn = async (): Promise<void> => {
        this.#waiting--;
        settle();
        if (left) {
          this.#handOver(weight);
          return;
        }
        try {
          resolve(await job());
        } catch (error) {
          reject(error);
        }
      };
      this.queue.schedule({ priority, weight }, turn).catch((error: unknown) => {
        this.#waiting--;
        this.#owed -= Math.min(this.#owed, weight);
        if (!left) leave(error);
      });
      void this.#pump();
    });
  }

  /**
   * bottleneck can't take a job out of its queue: the units of one that left pay for those behind it. What nobody
   * behind it needs is lost; kept in the reservoir it would let later jobs run above the limiter's rate.
   */
  #handOver(weight: number): void {
    const paid = Math.min(this.#owed, weight);
    if (paid === 0) return;
    this.#owed -= paid;
    void this.queue.incrementReservoir(paid);
  }

  /** Moves units from the limiter into the reservoir while jobs are owed some. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#owed > 0) {
        await this.#takeUnit();
        // Whoever left meanwhile may have paid.
        if (this.#owed > 0) this.#handOver(1);
      }
    } catch (error) {
      // The limiter or this schedule is closed: there will be no more units.
      this.#end(error);
    } finally {
      this.#pumping = false;
    }
  }

  async #takeUnit(): Promise<void> {
    const { signal } = this.#stop;
    const options = { key: this.#key, signal };
    for (;;) {
      try {
        await this.#limiter.acquire(options);
        return;
      } catch (error) {
        // Others fill the limiter's own waiting room at present.
        if (!(error instanceof RejectedError)) throw error;
        await sleep(Math.max(LEAST_WAIT_MS, error.retryAfterMs ?? 0), { clock: this.#clock, signal });
      }
    }
  }
}

/**
 * Makes a schedule of jobs on a rate limiter, with bottleneck as its waiting room: for code that lives on
 * bottleneck's queue, its priorities, events and counts.
 *
 * There is room: the job runs at once, without bottleneck. There is none: it queues, and starts about 4 ms
 * after its units have come back, for bottleneck takes four timers a job. Prefer `limiter.acquire()`
 * where bottleneck itself is not needed: it is exact, and whoever aborts leaves it at once.
 *
 * @example
 * const schedule = bottleneckSchedule(rateLimiter({ limit: 10, burst: 2 }), { maxWaiting: 100 });
 * const page = await schedule.schedule(() => crawl(url), { priority: 1 });
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function bottleneckSchedule(
  limiter: RateLimiter,
  options: BottleneckScheduleOptions = {},
): BottleneckSchedule {
  // One that answers later would be taken to have said no, and each job would spend twice.
  if ((limiter as Partial<RateLimiter> | null | undefined)?.kind !== 'rate-limiter') {
    throw new TypeError(
      `bottleneckSchedule: the first argument must be a rate limiter of rateLimiter(), got ${describe(limiter)}`,
    );
  }
  const read = optionReader('bottleneckSchedule', options);
  const maxWaiting = read.integer('maxWaiting', 1_000, { min: 0 });
  const maxConcurrent = read.integer('maxConcurrent', null, { min: 1 });
  const key = read.string('key', undefined);
  const clock = read.object<Clock>('clock', systemClock, ['setTimeout', 'clearTimeout']);
  read.end();
  return new ReservoirSchedule(limiter, maxWaiting, maxConcurrent, key, clock);
}
