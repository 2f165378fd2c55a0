import type { Milliseconds } from '@hotpath/core';
import type { ResolvedPoolOptions } from './pool-options.ts';
import type { PooledConnection } from './pooled-connection.ts';

/** What a look at a connection may find; `expiring` means before the next look. */
export type Verdict = 'fine' | 'leaked' | 'unused' | 'expiring' | 'expired';

/** Judges one connection by its times. */
export function verdictOn(
  connection: PooledConnection,
  { idleTimeoutMs, leakThresholdMs }: ResolvedPoolOptions,
  now: Milliseconds,
  nextLookMs: Milliseconds,
  mayShrink: boolean,
): Verdict {
  if (connection.state === 'busy') {
    const isLeaked = leakThresholdMs > 0 && now - connection.acquiredAtMs > leakThresholdMs;
    return isLeaked && !connection.leakReported ? 'leaked' : 'fine';
  }
  if (connection.state !== 'idle') return 'fine';
  if (mayShrink && idleTimeoutMs > 0 && now - connection.lastUsedAtMs >= idleTimeoutMs) return 'unused';
  if (now >= connection.expiresAtMs) return 'expired';
  return nextLookMs >= connection.expiresAtMs && !connection.replacing ? 'expiring' : 'fine';
}

const SITE_FRAMES = 12;

/** The stack of whoever asks for a connection. */
export function callSite(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = SITE_FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return stack?.split('\n').slice(3).join('\n');
}
