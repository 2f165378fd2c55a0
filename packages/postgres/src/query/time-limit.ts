import {
  abortable,
  type Clock,
  type Milliseconds,
  type OptionReader,
  optionReader,
  WheelTimer,
} from '@hotpath/core';
import { queryTimeout } from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { sendCancelRequest } from '../wire/cancel-request.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';

/** How long the server has to answer what was cancelled before the connection is given up. */
export const CANCEL_GRACE_MS = 2_000;

/** @throws TypeError when it can't be listened to. */
export function readSignal(read: OptionReader): AbortSignal | undefined {
  return read.object<AbortSignal | undefined>('signal', undefined, [
    'addEventListener',
    'removeEventListener',
    'throwIfAborted',
  ]);
}

/** @throws TypeError or RangeError when it is no length of time (a wait must not become endless by mistake) or no signal. */
export function readLimits(read: OptionReader): QueryOptions {
  return { timeoutMs: read.number('timeoutMs', undefined, { min: 0 }), signal: readSignal(read) };
}

/** @throws TypeError or RangeError when a call of `owner` was given something else than limits, or wrong ones. */
export function checkLimits(owner: string, options: QueryOptions | undefined): void {
  if (options === undefined || areLimits(options)) return;
  const read = optionReader(owner, options);
  readLimits(read);
  read.end();
}

/** Without the cost of a reader, since most calls give right ones. */
function areLimits(options: QueryOptions): boolean {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return false;
  for (const name in options) if (name !== 'timeoutMs' && name !== 'signal') return false;
  const { timeoutMs, signal } = options;
  return (
    (timeoutMs === undefined || (typeof timeoutMs === 'number' && timeoutMs >= 0)) &&
    (signal === undefined || signal instanceof AbortSignal)
  );
}

/** One limit for the several waits of one call. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #timeoutMs: Milliseconds;
  readonly #endMs: Milliseconds;
  readonly #signal: AbortSignal | undefined;

  constructor(
    { clock, queryTimeoutMs }: Executor,
    { timeoutMs = queryTimeoutMs, signal }: QueryOptions = {},
  ) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#endMs = clock.now() + timeoutMs;
    this.#signal = signal;
  }

  /** What is left of it, for the next wait: at least a moment, so that the wait itself says that time is over. */
  left(): { readonly timeoutMs: Milliseconds; readonly signal: AbortSignal | undefined } {
    const signal = this.#signal;
    if (this.#timeoutMs === 0) return { timeoutMs: 0, signal };
    return { timeoutMs: Math.max(1, this.#endMs - this.#clock.now()), signal };
  }

  /** @throws The signal's reason, untouched, when it has fired. */
  check(): void {
    this.#signal?.throwIfAborted();
  }

  /**
   * Waits for work that others may wait for as well, and that goes on without this call.
   *
   * @throws TimeoutError (HOTPATH_PG_QUERY_TIMEOUT); the signal's reason, untouched.
   */
  wait<T>(work: Promise<T>): Promise<T> {
    const { timeoutMs, signal } = this.left();
    if (timeoutMs === 0) return abortable(work, signal);
    const late = new Promise<never>((_resolve, reject) => {
      const timer = this.#clock.setTimeout(() => reject(queryTimeout(this.#timeoutMs)), timeoutMs);
      const end = (): void => this.#clock.clearTimeout(timer);
      work.then(end, end);
    });
    return abortable(Promise.race([work, late]), signal);
  }
}

class LimitedAnswer<T> extends WheelTimer {
  readonly #executor: Executor;
  readonly #connection: PooledConnection;
  readonly #timeoutMs: Milliseconds;
  readonly #signal: AbortSignal | undefined;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (): void => this.#giveUp(this.#signal?.reason);
  #givenUp = false;

  constructor(
    executor: Executor,
    connection: PooledConnection,
    answer: Promise<T>,
    { timeoutMs = executor.queryTimeoutMs, signal }: QueryOptions,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    super();
    this.#executor = executor;
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    this.#reject = reject;
    const end = (): void => {
      executor.wheel.disarm(this);
      signal?.removeEventListener('abort', this.#onAbort);
    };
    answer.then(
      (value) => {
        end();
        resolve(value);
      },
      (error) => {
        end();
        reject(error);
      },
    );
    if (timeoutMs > 0) executor.wheel.arm(this, timeoutMs);
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  override onDue(): void {
    if (this.#givenUp) this.#connection.destroy();
    else this.#giveUp(queryTimeout(this.#timeoutMs));
  }

  #giveUp(reason: unknown): void {
    if (this.#givenUp) return;
    this.#givenUp = true;
    this.#reject(reason);
    this.#executor.wheel.arm(this, CANCEL_GRACE_MS);
    this.#connection.cancelling = sendCancelRequest(this.#connection.client, CANCEL_GRACE_MS);
  }
}

/**
 * Waits for what a connection is to answer, no longer than told.
 *
 * When the time is over or the signal fires, the caller's wait ends at once and the server is asked to stop; a
 * connection that has not answered 2 s later is destroyed, so that `answer` settles in any case.
 *
 * @throws TimeoutError (HOTPATH_PG_QUERY_TIMEOUT); the signal's reason, untouched.
 */
export function within<T>(
  executor: Executor,
  connection: PooledConnection,
  answer: Promise<T>,
  limits: QueryOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    new LimitedAnswer(executor, connection, answer, limits, resolve, reject);
  });
}
