import { type Milliseconds, optionReader } from '@hotpath/core';

/** How failed requests are tried again. Only idempotent ones are, and those with an idempotency key. */
export interface HttpRetryOptions {
  /** How many tries in all, the first included; from 1 to 100. Default 3. */
  readonly attempts?: number | undefined;
  /** The upper end of the first pause, in milliseconds from 0; it doubles with each try. Default 50. */
  readonly baseMs?: Milliseconds | undefined;
  /** The longest pause that is chosen here, in milliseconds from 0. What a server asks for may be longer. Default 2,000. */
  readonly maxMs?: Milliseconds | undefined;
  /** Which statuses are tried again, from 400. Default 408, 429, 502, 503, 504. */
  readonly statuses?: readonly number[] | undefined;
  /** Retries allowed as a share (0 to 1) of an origin's requests in ten seconds. Default 0.2. */
  readonly budgetRatio?: number | undefined;
  /** Retries a second allowed besides, for each origin. Default 10. */
  readonly budgetPerSecond?: number | undefined;
}

/** {@link HttpRetryOptions}, checked and completed. */
export interface ResolvedHttpRetryOptions {
  readonly attempts: number;
  readonly baseMs: Milliseconds;
  readonly maxMs: Milliseconds;
  readonly statuses: ReadonlySet<number>;
  readonly budgetRatio: number;
  readonly budgetPerSecond: number;
}

/** @throws TypeError or RangeError naming the option that is wrong. */
export function resolveHttpRetryOptions(options: HttpRetryOptions | undefined): ResolvedHttpRetryOptions {
  const read = optionReader("createHttpClient: option 'retry'", options);
  const statuses = read.object<readonly number[]>('statuses', [408, 429, 502, 503, 504]);
  if (!Array.isArray(statuses) || !statuses.every((status) => Number.isInteger(status) && status >= 400)) {
    throw new TypeError("createHttpClient: option 'retry.statuses' must be a list of statuses from 400");
  }
  const resolved = {
    attempts: read.integer('attempts', 3, { min: 1, max: 100 }),
    baseMs: read.number('baseMs', 50, { min: 0, max: 3_600_000 }),
    maxMs: read.number('maxMs', 2_000, { min: 0, max: 3_600_000 }),
    statuses: new Set(statuses),
    budgetRatio: read.number('budgetRatio', 0.2, { min: 0, max: 1 }),
    budgetPerSecond: read.number('budgetPerSecond', 10, { min: 0, max: 1_000_000 }),
  };
  read.end();
  return Object.freeze(resolved);
}

/** What `true` means for a request whose client has it off. */
export const HTTP_RETRY: ResolvedHttpRetryOptions = resolveHttpRetryOptions({});
