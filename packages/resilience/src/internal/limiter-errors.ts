import { describe, type Milliseconds, RejectedError } from '@hotpath/core';

export function limited(
  name: string,
  retryAfterMs: Milliseconds | undefined,
): RejectedError<'HOTPATH_RATE_LIMITED'> {
  return new RejectedError('HOTPATH_RATE_LIMITED', `rate limiter '${name}': the limit is reached`, {
    retryAfterMs,
  });
}

export function queueFull(
  name: string,
  waiting: number,
  retryAfterMs: Milliseconds | undefined,
): RejectedError<'HOTPATH_RATE_QUEUE_FULL'> {
  const message = `rate limiter '${name}': ${waiting} wait already`;
  return new RejectedError('HOTPATH_RATE_QUEUE_FULL', message, { retryAfterMs });
}

export function wrongArgument(owner: string, name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`${owner}: '${name}' must be ${expected}, got ${describe(value)}`);
}

export function wrongCost(owner: string, cost: unknown): RangeError {
  return wrongArgument(owner, 'cost', 'a number above 0', cost);
}
