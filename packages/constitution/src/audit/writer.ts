import type { KeyObject } from 'node:crypto';
import { type Clock, eventChannel, isHotpathError, type Milliseconds, type TimerHandle } from '@hotpath/core';
import { AuditRejectedError, AuditUnavailableError } from '../errors.ts';
import { type Checkpoint, makeCheckpoint } from './checkpoint.ts';
import type { MerkleTree } from './merkle.ts';
import type { ResolvedAuditLogOptions } from './options.ts';
import { rootsOfRanges } from './proofs.ts';
import type { Recovered } from './recover.ts';
import type { AuditStore } from './store.ts';
import type { TreeOfSegments } from './tree-of-segments.ts';

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

/** Brings buffered lines to the store, one job after the other, and makes checkpoints of what is there. */
export class AuditWriter {
  readonly #store: AuditStore;
  readonly #tree: TreeOfSegments;
  readonly #origin: string;
  readonly #segmentEntries: number;
  readonly #signingKey: KeyObject | undefined;
  readonly #options: ResolvedAuditLogOptions;
  readonly #clock: Clock;
  /** Lines that are not written yet; the first is of the entry `#written`. */
  #buffer: string[] = [];
  #written: number;
  /** What is as safe as the option `fsync` demands. */
  #safe: number;
  #checkpointedSize: number;
  #queue: Promise<unknown> = Promise.resolve();
  /** A flush that has not begun: who asks meanwhile shares it. */
  #nextFlush: Promise<void> | undefined;
  #flushTimer: TimerHandle | undefined;
  #checkpointTimer: TimerHandle | undefined;
  #closed: Promise<void> | undefined;
  readonly counts = { flushes: 0, failedFlushes: 0, checkpoints: 0 };

  constructor(options: ResolvedAuditLogOptions, { meta, tree, checkpointedSize }: Recovered) {
    this.#options = options;
    this.#store = options.store;
    this.#signingKey = options.signingKey;
    this.#clock = options.clock;
    this.#origin = meta.origin;
    this.#segmentEntries = meta.segmentEntries;
    this.#tree = tree;
    this.#written = tree.size;
    this.#safe = tree.size;
    this.#checkpointedSize = checkpointedSize;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  get buffered(): number {
    return this.#buffer.length;
  }

  get written(): number {
    return this.#written;
  }

  /** Takes the line of the entry that the tree was given last. */
  push(line: string): void {
    this.#buffer.push(line);
    const { flushEntries, flushIntervalMs } = this.#options;
    if (this.#buffer.length === flushEntries) this.#flushSoon(0);
    else if (this.#flushTimer === undefined) this.#flushSoon(flushIntervalMs);
  }

  #flushSoon(delayMs: Milliseconds): void {
    this.#clock.clearTimeout(this.#flushTimer);
    this.#flushTimer = this.#clock.setTimeout(() => {
      this.#flushTimer = undefined;
      // Counted, published and planned again where it failed.
      this.flush().catch(() => {});
    }, delayMs);
  }

  /** Runs jobs of the store one after the other. */
  inTurn<Value>(job: () => Promise<Value>): Promise<Value> {
    const run = this.#queue.then(job);
    this.#queue = run.catch(() => {});
    return run;
  }

  flush(): Promise<void> {
    // The store is another writer's to open by then.
    if (this.#closed !== undefined) return this.#closed;
    this.#nextFlush ??= this.inTurn(() => {
      this.#nextFlush = undefined;
      return this.#write();
    });
    return this.#nextFlush;
  }

  async #write(): Promise<void> {
    // What is appended meanwhile waits for its own turn, so that this one ends.
    const end = this.#tree.size;
    if (this.#safe === end && this.#tree.unsealedSegments.length === 0) return;
    this.#clock.clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    try {
      while (this.#written < end) await this.#writeSome();
      await this.#sealFull();
      if (this.#options.fsync === 'flush') await this.#store.sync();
    } catch (cause) {
      throw this.#failed(cause);
    }
    this.#safe = end;
    this.counts.flushes++;
    this.#checkpointSoon();
  }

  /** Counts and tells a failure, and plans the next try. */
  #failed(cause: unknown): unknown {
    const error = unavailable("the audit log can't be written now", cause);
    this.counts.failedFlushes++;
    if (writeFailed.hasSubscribers) {
      writeFailed.publish({ origin: this.#origin, buffered: this.#buffer.length, error });
    }
    if (!this.isClosed) this.#flushSoon(this.#options.retryIntervalMs);
    return error;
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

  #checkpointSoon(): void {
    if (this.#checkpointTimer !== undefined || this.isClosed || this.#written <= this.#checkpointedSize) {
      return;
    }
    this.#checkpointTimer = this.#clock.setTimeout(() => {
      this.#checkpointTimer = undefined;
      this.inTurn(() => this.checkpoint()).catch(() => this.#checkpointSoon());
    }, this.#options.checkpointIntervalMs);
    this.#checkpointTimer.unref();
  }

  /** Writes all that waits, and keeps a checkpoint of it; in its turn. */
  async checkpoint(): Promise<Checkpoint> {
    await this.#write();
    const size = this.#written;
    const time = new Date(this.#clock.wallTime()).toISOString();
    let checkpoint: Checkpoint;
    try {
      const [root] = await rootsOfRanges([[0, size]], this.#tree.nodes);
      await this.#store.sync();
      checkpoint = makeCheckpoint(this.#origin, size, root as Buffer, time, this.#signingKey);
      await this.#store.addCheckpoint(checkpoint.note);
    } catch (cause) {
      throw this.#failed(cause);
    }
    this.#checkpointedSize = size;
    this.counts.checkpoints++;
    if (checkpointed.hasSubscribers) checkpointed.publish({ checkpoint });
    return checkpoint;
  }

  close(): Promise<void> {
    this.#clock.clearTimeout(this.#checkpointTimer);
    this.#closed ??= this.inTurn(async () => {
      try {
        await this.#write();
        if (this.#written > this.#checkpointedSize) await this.checkpoint();
      } finally {
        this.#clock.clearTimeout(this.#flushTimer);
        await this.#store.close();
      }
    });
    return this.#closed;
  }
}

/** The error for what a store failed with: its own where that has a code of ours. */
export function unavailable(what: string, cause: unknown): unknown {
  if (isHotpathError(cause)) return cause;
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new AuditUnavailableError('HOTPATH_AUDIT_UNAVAILABLE', `${what}: ${problem}`, { cause });
}

export function closedError(): AuditRejectedError {
  return new AuditRejectedError('HOTPATH_AUDIT_CLOSED', 'the audit log is closed');
}
