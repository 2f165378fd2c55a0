import { hash, type KeyObject } from 'node:crypto';
import { type Clock, eventChannel, type Milliseconds, type TimerHandle } from '@hotpath/core';
import type { Constitution } from '../constitution.ts';
import { AuditRejectedError } from '../errors.ts';
import { type Checkpoint, makeCheckpoint } from './checkpoint.ts';
import { type AuditEntry, entryText, type StoredEntry } from './entry.ts';
import { LEAF_PREFIX, type MerkleTree } from './merkle.ts';
import { type AuditLogOptions, type ResolvedAuditLogOptions, resolveAuditLogOptions } from './options.ts';
import {
  type ConsistencyProof,
  consistencyRanges,
  type InclusionProof,
  inclusionRanges,
  rootsOfRanges,
} from './proofs.ts';
import { recover } from './recover.ts';
import type { AuditStore } from './store.ts';
import type { TreeOfSegments } from './tree-of-segments.ts';

/** Counters since the log was opened, and where it stands. */
export interface AuditLogStats {
  /** Entries, those that wait to be written included. */
  readonly size: number;
  /** Entries that wait to be written. */
  readonly buffered: number;
  readonly appended: number;
  readonly flushes: number;
  readonly failedFlushes: number;
  readonly checkpoints: number;
  /** Bytes of a cut-off write that were taken off at the start. */
  readonly repairedBytes: number;
}

/** Published on `hotpath:constitution:audit-write-failed`; the entries are kept and written again. */
export interface AuditWriteFailedEvent {
  readonly origin: string;
  readonly buffered: number;
  readonly error: unknown;
}

/** Published on `hotpath:constitution:audit-checkpoint` for each checkpoint that was kept. */
export interface AuditCheckpointEvent {
  readonly checkpoint: Checkpoint;
}

const writeFailed = eventChannel<AuditWriteFailedEvent>('constitution', 'audit-write-failed');
const checkpointed = eventChannel<AuditCheckpointEvent>('constitution', 'audit-checkpoint');

const LARGEST_WRITE = 4_096;

/**
 * An append-only log of decisions whose entries are the leaves of a Merkle tree (RFC 6962).
 *
 * Entries are buffered and written in groups; what was flushed under `fsync: 'flush'` survives a loss of power.
 */
export class AuditLog {
  readonly #store: AuditStore;
  readonly #origin: string;
  readonly #segmentEntries: number;
  readonly #constitution: Constitution | undefined;
  readonly #signingKey: KeyObject | undefined;
  readonly #options: ResolvedAuditLogOptions;
  readonly #clock: Clock;
  readonly #tree: TreeOfSegments;
  readonly #repairedBytes: number;
  /** Lines that are not written yet; the first is of the entry `#written`. */
  #buffer: string[] = [];
  #written: number;
  #checkpointedSize: number;
  #queue: Promise<unknown> = Promise.resolve();
  #flushTimer: TimerHandle | undefined;
  #checkpointTimer: TimerHandle | undefined;
  #isClosed = false;
  #timeMs: Milliseconds = Number.NaN;
  #time = '';
  #appended = 0;
  #flushes = 0;
  #failedFlushes = 0;
  #checkpoints = 0;

  /** @internal */
  constructor(options: ResolvedAuditLogOptions, recovered: Awaited<ReturnType<typeof recover>>) {
    this.#options = options;
    this.#store = options.store;
    this.#constitution = options.constitution;
    this.#signingKey = options.signingKey;
    this.#clock = options.clock;
    this.#origin = recovered.meta.origin;
    this.#segmentEntries = recovered.meta.segmentEntries;
    this.#tree = recovered.tree;
    this.#written = recovered.tree.size;
    this.#repairedBytes = recovered.repairedBytes;
    this.#checkpointedSize = recovered.checkpointedSize;
  }

  /** The log's name, as in its checkpoints. */
  get origin(): string {
    return this.#origin;
  }

  /** How many entries it has, those that wait to be written included. */
  get size(): number {
    return this.#tree.size;
  }

  /**
   * Adds an entry and returns its index; it is written with others, `flushIntervalMs` later at most.
   *
   * @throws TypeError when a field is missing or empty.
   * @throws CanonicalJsonError (HOTPATH_CANONICAL_JSON) when `details` holds what JSON can't carry.
   * @throws RangeError when the entry is larger than `maxEntryBytes`.
   * @throws AuditRejectedError (HOTPATH_AUDIT_BUFFER_FULL) when `maxBufferedEntries` wait to be written.
   * @throws AuditRejectedError (HOTPATH_AUDIT_CLOSED) after `close()`.
   */
  append(entry: AuditEntry): number {
    if (this.#isClosed) throw closedError();
    const { maxBufferedEntries, maxEntryBytes, flushEntries, flushIntervalMs } = this.#options;
    if (this.#buffer.length >= maxBufferedEntries) {
      throw new AuditRejectedError(
        'HOTPATH_AUDIT_BUFFER_FULL',
        `${maxBufferedEntries} entries wait to be written, the most that are allowed`,
        { retryAfterMs: flushIntervalMs },
      );
    }
    const index = this.#tree.size;
    const constitution = this.#constitution;
    const under = constitution === undefined ? undefined : (constitution.fingerprint ?? constitution.active);
    const text = entryText(entry, index, this.#now(), under);
    if (
      text.length > maxEntryBytes ||
      (text.length * 3 > maxEntryBytes && Buffer.byteLength(text) > maxEntryBytes)
    ) {
      throw new RangeError(`append: the entry has more than ${maxEntryBytes} bytes`);
    }
    // Hashing makes one piece of what was put together from many; the line shares that.
    const hashed = LEAF_PREFIX + text;
    const leaf = hash('sha256', hashed, 'hex');
    this.#tree.append(leaf);
    this.#buffer.push(`${leaf} ${hashed.slice(LEAF_PREFIX.length)}`);
    this.#appended++;
    if (this.#buffer.length === flushEntries) this.#flushSoon(0);
    else if (this.#flushTimer === undefined) this.#flushSoon(flushIntervalMs);
    return index;
  }

  /** As `append`, and resolves with the index when the entry was flushed. Rejects when that fails; the entry is then still kept and tried again. */
  async commit(entry: AuditEntry): Promise<number> {
    const index = this.append(entry);
    await this.flush();
    return index;
  }

  #now(): string {
    const nowMs = this.#clock.wallTime();
    if (nowMs !== this.#timeMs) {
      this.#timeMs = nowMs;
      this.#time = new Date(nowMs).toISOString();
    }
    return this.#time;
  }

  #flushSoon(delayMs: Milliseconds): void {
    this.#clock.clearTimeout(this.#flushTimer);
    this.#flushTimer = this.#clock.setTimeout(() => {
      this.#flushTimer = undefined;
      this.#flushInBackground();
    }, delayMs);
  }

  #flushInBackground(): void {
    this.flush().catch(() => {
      // Counted and published where it failed; the entries stay, so the next turn tries again.
      if (this.#flushTimer === undefined && !this.#isClosed) this.#flushSoon(this.#options.retryIntervalMs);
    });
  }

  /**
   * Writes all that waits; resolves when it is as safe as the option `fsync` demands.
   *
   * @throws What the store failed with; entries stay buffered and are tried again.
   */
  flush(): Promise<void> {
    return this.#inTurn(() => this.#write());
  }

  /** Runs jobs of the store one after the other. */
  #inTurn<Value>(job: () => Promise<Value>): Promise<Value> {
    const run = this.#queue.then(job);
    this.#queue = run.catch(() => {});
    return run;
  }

  async #write(): Promise<void> {
    // What is appended meanwhile waits for its own turn, so that this one ends.
    const end = this.#tree.size;
    if (this.#written === end && this.#tree.unsealedSegments.length === 0) return;
    this.#clock.clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    try {
      while (this.#written < end) await this.#writeSome();
      await this.#sealFull();
      if (this.#options.fsync === 'flush') await this.#store.sync();
      this.#flushes++;
    } catch (error) {
      this.#failedFlushes++;
      if (writeFailed.hasSubscribers) {
        writeFailed.publish({ origin: this.#origin, buffered: this.#buffer.length, error });
      }
      throw error;
    }
    if (this.#checkpointTimer === undefined && !this.#isClosed && this.#written > this.#checkpointedSize) {
      this.#checkpointTimer = this.#clock.setTimeout(() => {
        this.#checkpointTimer = undefined;
        this.checkpoint().catch(() => {});
      }, this.#options.checkpointIntervalMs);
      this.#checkpointTimer.unref();
    }
  }

  /** Writes lines up to the segment's end at most. */
  async #writeSome(): Promise<void> {
    const segment = Math.floor(this.#written / this.#segmentEntries);
    const room = this.#segmentEntries - (this.#written % this.#segmentEntries);
    const lines = this.#buffer.slice(0, Math.min(room, LARGEST_WRITE));
    await this.#store.append(segment, this.#written, lines);
    this.#written += lines.length;
    this.#buffer = this.#buffer.slice(lines.length);
  }

  /** Seals each segment that is written whole. */
  async #sealFull(): Promise<void> {
    for (const segment of this.#tree.unsealedSegments) {
      if ((segment + 1) * this.#segmentEntries > this.#written) return;
      const tree = this.#tree.unsealed(segment) as MerkleTree;
      await this.#store.seal(segment, tree.toBuffer());
      this.#tree.sealed(segment);
    }
  }

  /**
   * Writes all that waits, and keeps a statement of size and root, signed when the log has a key.
   *
   * Hand its `note` to somebody else: only what lies outside the log proves that nobody wrote it anew.
   */
  checkpoint(): Promise<Checkpoint> {
    if (this.#isClosed) return Promise.reject(closedError());
    return this.#inTurn(() => this.#checkpoint());
  }

  async #checkpoint(): Promise<Checkpoint> {
    await this.#write();
    const size = this.#written;
    const root = await this.#rootOf(size);
    await this.#store.sync();
    const checkpoint = makeCheckpoint(this.#origin, size, root, this.#now(), this.#signingKey);
    await this.#store.addCheckpoint(checkpoint.note);
    this.#checkpointedSize = size;
    this.#checkpoints++;
    if (checkpointed.hasSubscribers) checkpointed.publish({ checkpoint });
    return checkpoint;
  }

  async #rootOf(size: number): Promise<Buffer> {
    const [root] = await rootsOfRanges([[0, size]], this.#tree.nodes);
    return root as Buffer;
  }

  /** The root (hex) over the first `size` entries. Default: all. */
  async root(size: number = this.size): Promise<string> {
    this.#requireCount('root', 'size', size, 0, this.size);
    return (await this.#rootOf(size)).toString('hex');
  }

  /**
   * Proves that the entry at `index` is among the first `size`. Cost: a few reads of 32 bytes.
   *
   * @throws RangeError when there is no such entry, or less than `size`.
   * @throws AuditRejectedError (HOTPATH_AUDIT_DROPPED) when its segment was dropped.
   */
  async inclusionProof(index: number, size: number = this.size): Promise<InclusionProof> {
    this.#requireCount('inclusionProof', 'size', size, 1, this.size);
    this.#requireCount('inclusionProof', 'index', index, 0, size - 1);
    const ranges = [[index, index + 1] as const, ...inclusionRanges(index, size)];
    const [leaf, ...path] = (await rootsOfRanges(ranges, this.#tree.nodes)).map(toHex);
    return { index, size, leaf: leaf as string, path };
  }

  /** Proves that the log of `to` entries begins with the log of `from` entries. @throws As `inclusionProof`. */
  async consistencyProof(from: number, to: number = this.size): Promise<ConsistencyProof> {
    this.#requireCount('consistencyProof', 'to', to, 0, this.size);
    this.#requireCount('consistencyProof', 'from', from, 0, to);
    return {
      from,
      to,
      path: (await rootsOfRanges(consistencyRanges(from, to), this.#tree.nodes)).map(toHex),
    };
  }

  #requireCount(method: string, name: string, value: number, min: number, max: number): void {
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new RangeError(`${method}: ${name} must be a whole number from ${min} to ${max}, got ${value}`);
    }
  }

  /** The entries from `from` up to `to`, in order, without those that were dropped. Writes what waits first. */
  async *entries(from: number = 0, to: number = this.size): AsyncGenerator<StoredEntry, void, undefined> {
    await this.flush();
    const last = Math.min(to, this.#written);
    for (let start = from - (from % this.#segmentEntries); start < last; start += this.#segmentEntries) {
      const segment = start / this.#segmentEntries;
      if (this.#tree.isDropped(segment)) continue;
      const { lines } = await this.#inTurn(() => this.#store.lines(segment));
      for (let index = Math.max(from, start); index < Math.min(last, start + lines.length); index++) {
        yield JSON.parse((lines[index - start] as string).slice(65)) as StoredEntry;
      }
    }
  }

  /**
   * Removes the entries of all full segments that end at or before `index`; their roots stay, so proofs
   * and verification of the others go on. Returns the index of the first entry that is left.
   */
  drop(index: number): Promise<number> {
    if (this.#isClosed) return Promise.reject(closedError());
    this.#requireCount('drop', 'index', index, 0, this.size);
    return this.#inTurn(async () => {
      // Once entries are gone, the last checkpoint must not need them.
      await this.#checkpoint();
      const end = Math.floor(Math.min(index, this.#written) / this.#segmentEntries);
      for (let segment = 0; segment < end; segment++) {
        if (this.#tree.isDropped(segment)) continue;
        await this.#store.drop(segment);
        this.#tree.dropped(segment);
      }
      return end * this.#segmentEntries;
    });
  }

  stats(): AuditLogStats {
    return {
      size: this.size,
      buffered: this.#buffer.length,
      appended: this.#appended,
      flushes: this.#flushes,
      failedFlushes: this.#failedFlushes,
      checkpoints: this.#checkpoints,
      repairedBytes: this.#repairedBytes,
    };
  }

  /** Writes all that waits and a last checkpoint, and lets go of the store. @throws What the store failed with. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.#queue.then(() => {});
    this.#isClosed = true;
    this.#clock.clearTimeout(this.#flushTimer);
    this.#clock.clearTimeout(this.#checkpointTimer);
    await this.#inTurn(async () => {
      try {
        await this.#write();
        if (this.#written > this.#checkpointedSize) await this.#checkpoint();
      } finally {
        await this.#store.close();
      }
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function closedError(): AuditRejectedError {
  return new AuditRejectedError('HOTPATH_AUDIT_CLOSED', 'the audit log is closed');
}

function toHex(hashed: Buffer): string {
  return hashed.toString('hex');
}

/**
 * Opens an audit log, or makes one, and takes off what a cut-off write left at its end.
 *
 * @example
 * const log = await createAuditLog({ directory: 'audit', constitution });
 * log.append({ who: 'ann', what: 'read policy 7', decision: 'allow' });
 * await log.close();
 *
 * @throws AuditRejectedError (HOTPATH_AUDIT_LOCKED) when another process writes it.
 * @throws AuditCorruptError (HOTPATH_AUDIT_CORRUPT) when what is stored was changed; `verifyAuditLog` says where.
 * @throws TypeError or RangeError when an option is wrong.
 */
export async function createAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const resolved = resolveAuditLogOptions(options);
  try {
    return new AuditLog(resolved, await recover(resolved));
  } catch (error) {
    await resolved.store.close();
    throw error;
  }
}
