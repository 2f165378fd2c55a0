import { hash } from 'node:crypto';
import type { Clock, Milliseconds } from '@hotpath/core';
import type { Constitution } from '../constitution.ts';
import { AuditRejectedError } from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type AuditEntry, entryText, type StoredEntry } from './entry.ts';
import { LEAF_PREFIX } from './merkle.ts';
import { type AuditLogOptions, type ResolvedAuditLogOptions, resolveAuditLogOptions } from './options.ts';
import {
  type ConsistencyProof,
  consistencyRanges,
  type InclusionProof,
  inclusionRanges,
  rootsOfRanges,
} from './proofs.ts';
import { type Recovered, recover } from './recover.ts';
import type { AuditStore } from './store.ts';
import type { TreeOfSegments } from './tree-of-segments.ts';
import { AuditWriter, closedError, unavailable } from './writer.ts';

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

/**
 * An append-only log of decisions whose entries are the leaves of a Merkle tree (RFC 6962).
 *
 * Entries are buffered and written in groups; what was flushed under `fsync: 'flush'` survives a loss of power.
 */
export class AuditLog {
  readonly #options: ResolvedAuditLogOptions;
  readonly #store: AuditStore;
  readonly #constitution: Constitution | undefined;
  readonly #clock: Clock;
  readonly #origin: string;
  readonly #segmentEntries: number;
  readonly #tree: TreeOfSegments;
  readonly #writer: AuditWriter;
  readonly #repairedBytes: number;
  #timeMs: Milliseconds = Number.NaN;
  #time = '';
  #appended = 0;

  /** @internal */
  constructor(options: ResolvedAuditLogOptions, recovered: Recovered) {
    this.#options = options;
    this.#store = options.store;
    this.#constitution = options.constitution;
    this.#clock = options.clock;
    this.#origin = recovered.meta.origin;
    this.#segmentEntries = recovered.meta.segmentEntries;
    this.#tree = recovered.tree;
    this.#writer = new AuditWriter(options, recovered);
    this.#repairedBytes = recovered.repairedBytes;
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
    if (this.#writer.isClosed) throw closedError();
    const { maxBufferedEntries, maxEntryBytes, flushIntervalMs } = this.#options;
    if (this.#writer.buffered >= maxBufferedEntries) {
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
    this.#writer.push(`${leaf} ${hashed.slice(LEAF_PREFIX.length)}`);
    this.#appended++;
    return index;
  }

  /**
   * As `append`, and resolves with the index when the entry was flushed.
   *
   * @throws As `append` and `flush`; when flushing failed, the entry is still kept and tried again.
   */
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

  /**
   * Writes all that waits; resolves when it is as safe as the option `fsync` demands. Flushes that are
   * asked for while another one runs share the next; after `close()` they settle as that did.
   *
   * @throws AuditUnavailableError (HOTPATH_AUDIT_UNAVAILABLE) when the store fails; what waits is kept, and
   * tried again after `retryIntervalMs`.
   * @throws AuditRejectedError (HOTPATH_AUDIT_CONFLICT) when another process wrote the same log.
   */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /**
   * Writes all that waits, and keeps a statement of size and root, signed when the log has a key.
   *
   * Hand its `note` to somebody else: only what lies outside the log proves that nobody wrote it anew.
   *
   * @throws As `flush`; AuditRejectedError (HOTPATH_AUDIT_CLOSED) after `close()`.
   */
  checkpoint(): Promise<Checkpoint> {
    if (this.#writer.isClosed) return Promise.reject(closedError());
    return this.#writer.inTurn(() => this.#writer.checkpoint());
  }

  /** The root (hex) over the first `size` entries. Default: all. */
  async root(size: number = this.size): Promise<string> {
    this.#requireCount('root', 'size', size, 0, this.size);
    const [root] = await rootsOfRanges([[0, size]], this.#tree.nodes);
    return toHex(root as Buffer);
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

  /**
   * The entries from `from` up to `to`, in order, without those that were dropped. Writes what waits first.
   *
   * @throws RangeError when there are no such entries; as `flush`.
   */
  async *entries(from: number = 0, to: number = this.size): AsyncGenerator<StoredEntry, void, undefined> {
    this.#requireCount('entries', 'from', from, 0, this.size);
    this.#requireCount('entries', 'to', to, from, this.size);
    await this.flush();
    const last = Math.min(to, this.#writer.written);
    for (let start = from - (from % this.#segmentEntries); start < last; start += this.#segmentEntries) {
      const segment = start / this.#segmentEntries;
      if (this.#tree.isDropped(segment)) continue;
      const { lines } = await this.#writer.inTurn(() => this.#store.lines(segment));
      for (let index = Math.max(from, start); index < Math.min(last, start + lines.length); index++) {
        yield JSON.parse((lines[index - start] as string).slice(65)) as StoredEntry;
      }
    }
  }

  /**
   * Removes the entries of all full segments that end at or before `index`; their roots stay, so proofs
   * and verification of the others go on. Returns the index of the first entry that is left.
   *
   * @throws RangeError when there is no such entry.
   * @throws As `checkpoint`, of which one is made before.
   */
  async drop(index: number): Promise<number> {
    if (this.#writer.isClosed) throw closedError();
    this.#requireCount('drop', 'index', index, 0, this.size);
    return this.#writer.inTurn(async () => {
      // Once entries are gone, the last checkpoint must not need them.
      await this.#writer.checkpoint();
      const end = Math.floor(Math.min(index, this.#writer.written) / this.#segmentEntries);
      for (let segment = 0; segment < end; segment++) {
        if (this.#tree.isDropped(segment)) continue;
        try {
          await this.#store.drop(segment);
        } catch (cause) {
          throw unavailable(`segment ${segment} can't be dropped now`, cause);
        }
        this.#tree.dropped(segment);
      }
      return end * this.#segmentEntries;
    });
  }

  stats(): AuditLogStats {
    return {
      size: this.size,
      buffered: this.#writer.buffered,
      appended: this.#appended,
      ...this.#writer.counts,
      repairedBytes: this.#repairedBytes,
    };
  }

  /**
   * Writes all that waits and a last checkpoint, and lets go of the store. Called again it settles as the first time.
   *
   * @throws As `flush`; what could not be written is lost then.
   */
  close(): Promise<void> {
    return this.#writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
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
 * @throws AuditUnavailableError (HOTPATH_AUDIT_UNAVAILABLE) when the store can't be read and written now.
 * @throws AuditCorruptError (HOTPATH_AUDIT_CORRUPT, HOTPATH_AUDIT_CHECKPOINT) when what is stored was changed;
 * `verifyAuditLog` says where.
 * @throws TypeError or RangeError when an option is wrong.
 */
export async function createAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const resolved = resolveAuditLogOptions(options);
  try {
    return new AuditLog(resolved, await recover(resolved));
  } catch (cause) {
    await resolved.store.close();
    throw unavailable("the audit log can't be opened", cause);
  }
}
