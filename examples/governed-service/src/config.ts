import type { Milliseconds } from '@hotpath/core';

/** What the service is started with, read from the environment once. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** Absent: a private PostgreSQL is started. */
  readonly databaseUrl: string | undefined;
  /** Absent: a private Redis is started where one is installed, else the service runs without. */
  readonly redisUrl: string | undefined;
  readonly constitutionalHash: string;
  readonly rateLimitPerSecond: number;
  readonly decisionTimeoutMs: Milliseconds;
  /** Where the audit log is kept; one service writes a log at a time. */
  readonly auditDirectory: string;
  readonly seedPolicies: number;
}

/** The hash in force: the first 16 hex digits of the SHA-256 of the governing document. */
const HASH_IN_FORCE = 'cdd01ef066bc6cf2';

/** @throws RangeError when a variable is not what it must be; it names the variable. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const port = wholeNumber(env, 'PORT', 8004, 0, 65_535);
  return Object.freeze({
    host: env.HOST || '127.0.0.1',
    port,
    databaseUrl: url(env, 'DATABASE_URL', ['postgres:', 'postgresql:']),
    redisUrl: url(env, 'REDIS_URL', ['redis:', 'rediss:']),
    constitutionalHash: HASH_IN_FORCE,
    rateLimitPerSecond: wholeNumber(env, 'RATE_LIMIT_PER_SECOND', 100, 1, 1_000_000),
    auditDirectory: env.AUDIT_DIRECTORY || `.hotpath/audit-${port}`,
    decisionTimeoutMs: wholeNumber(env, 'DECISION_TIMEOUT_MS', 1_000, 1, 60_000),
    seedPolicies: wholeNumber(env, 'SEED_POLICIES', 10_000, 0, 1_000_000),
  });
}

function wholeNumber(
  env: NodeJS.ProcessEnv,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be a whole number from ${min} to ${max}, got '${text}'`);
  }
  return value;
}

function url(env: NodeJS.ProcessEnv, name: string, protocols: readonly string[]): string | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  // The text itself may hold a password, so the error leaves it out.
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw new RangeError(
      `${name} must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`,
    );
  }
  return text;
}
