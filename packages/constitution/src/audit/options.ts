import { createPrivateKey, KeyObject } from 'node:crypto';
import { type Clock, type Milliseconds, optionReader, systemClock } from '@hotpath/core';
import { Constitution } from '../constitution.ts';
import { FileAuditStore } from './file-store.ts';
import type { AuditStore } from './store.ts';

/** What {@link createAuditLog} takes: `directory`, or `store`. */
export interface AuditLogOptions {
  /** A folder of the log's own; made when missing. */
  readonly directory?: string | undefined;
  /** Where else it is kept: `postgresAuditStore(…)`. */
  readonly store?: AuditStore | undefined;
  /** Gives entries the fingerprint they were decided under. */
  readonly constitution?: Constitution | undefined;
  /** A private Ed25519 key (a KeyObject or PEM) that signs checkpoints. Default: they are not signed. */
  readonly signingKey?: KeyObject | string | undefined;
  /** The log's name, as in its checkpoints. Counts when the log is made. Default `hotpath-audit`. */
  readonly origin?: string | undefined;
  /** Entries a segment: a power of two from 2 to 1,048,576. Counts when the log is made. Default 16,384. */
  readonly segmentEntries?: number | undefined;
  /** The longest that an entry waits to be written. Default 50. */
  readonly flushIntervalMs?: Milliseconds | undefined;
  /** A flush begins when this many entries wait. Default 1,024. */
  readonly flushEntries?: number | undefined;
  /** How long after a failed flush the next one begins. Default 1,000. */
  readonly retryIntervalMs?: Milliseconds | undefined;
  /** How many entries may wait to be written. Default 100,000. */
  readonly maxBufferedEntries?: number | undefined;
  /** How large an entry may be, as canonical JSON in UTF-8. Default 16,384. */
  readonly maxEntryBytes?: number | undefined;
  /** What a flush waits for: the disk (`flush`), or only the system (`never`; checkpoints and full segments still wait). Default `flush`. */
  readonly fsync?: 'flush' | 'never' | undefined;
  /** The longest that a written entry waits for a checkpoint. Default 60,000. */
  readonly checkpointIntervalMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

export interface ResolvedAuditLogOptions {
  readonly store: AuditStore;
  readonly constitution: Constitution | undefined;
  readonly signingKey: KeyObject | undefined;
  readonly origin: string;
  readonly segmentEntries: number;
  readonly flushIntervalMs: Milliseconds;
  readonly flushEntries: number;
  readonly retryIntervalMs: Milliseconds;
  readonly maxBufferedEntries: number;
  readonly maxEntryBytes: number;
  readonly fsync: 'flush' | 'never';
  readonly checkpointIntervalMs: Milliseconds;
  readonly clock: Clock;
}

export const AUDIT_LOG_DEFAULTS: Readonly<
  Omit<ResolvedAuditLogOptions, 'store' | 'constitution' | 'signingKey' | 'clock'>
> = Object.freeze({
  origin: 'hotpath-audit',
  segmentEntries: 16_384,
  flushIntervalMs: 50,
  flushEntries: 1_024,
  retryIntervalMs: 1_000,
  maxBufferedEntries: 100_000,
  maxEntryBytes: 16_384,
  fsync: 'flush',
  checkpointIntervalMs: 60_000,
});

const OWNER = 'createAuditLog';
const STORE_METHODS = [
  'open',
  'meta',
  'segments',
  'lines',
  'tree',
  'append',
  'seal',
  'sync',
  'nodes',
  'close',
];

export function resolveAuditLogOptions(options: AuditLogOptions): ResolvedAuditLogOptions {
  const read = optionReader(OWNER, options);
  const defaults = AUDIT_LOG_DEFAULTS;
  const directory = read.string('directory', undefined);
  const store = read.object<AuditStore | undefined>('store', undefined, STORE_METHODS);
  const constitution = read.any('constitution');
  const signingKey = read.any('signingKey');
  const resolved = {
    origin: read.string('origin', defaults.origin),
    segmentEntries: read.integer('segmentEntries', defaults.segmentEntries, { min: 2, max: 1_048_576 }),
    flushIntervalMs: read.number('flushIntervalMs', defaults.flushIntervalMs, { min: 0, max: 60_000 }),
    flushEntries: read.integer('flushEntries', defaults.flushEntries, { min: 1 }),
    retryIntervalMs: read.number('retryIntervalMs', defaults.retryIntervalMs, { min: 1 }),
    maxBufferedEntries: read.integer('maxBufferedEntries', defaults.maxBufferedEntries, { min: 1 }),
    maxEntryBytes: read.integer('maxEntryBytes', defaults.maxEntryBytes, { min: 256, max: 1_048_576 }),
    fsync: read.oneOf('fsync', ['flush', 'never'], defaults.fsync),
    checkpointIntervalMs: read.number('checkpointIntervalMs', defaults.checkpointIntervalMs, { min: 1 }),
    clock: read.object<Clock>('clock', systemClock, ['wallTime', 'setTimeout', 'clearTimeout']),
  };
  read.end();
  if ((directory === undefined) === (store === undefined)) {
    throw new TypeError(`${OWNER}: either option 'directory' or option 'store' is needed`);
  }
  if (!Number.isInteger(Math.log2(resolved.segmentEntries))) {
    throw new RangeError(
      `${OWNER}: option 'segmentEntries' must be a power of two, got ${resolved.segmentEntries}`,
    );
  }
  if (!/^[^\s+]{1,200}$/u.test(resolved.origin)) {
    throw new RangeError(
      `${OWNER}: option 'origin' must be up to 200 characters without white space and '+'`,
    );
  }
  if (constitution !== undefined && !(constitution instanceof Constitution)) {
    throw new TypeError(`${OWNER}: option 'constitution' must be made by createConstitution`);
  }
  return Object.freeze({
    ...resolved,
    store: store ?? new FileAuditStore(directory as string),
    constitution,
    signingKey: signingKey === undefined ? undefined : resolveSigningKey(signingKey),
  });
}

function resolveSigningKey(given: unknown): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = given instanceof KeyObject ? given : createPrivateKey(given as string);
  } catch {
    // Whatever it is, the error must not show it.
  }
  if (key?.type !== 'private' || key.asymmetricKeyType !== 'ed25519') {
    throw new TypeError(`${OWNER}: option 'signingKey' must be a private Ed25519 key`);
  }
  return key;
}
