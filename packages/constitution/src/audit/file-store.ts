import { existsSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditCorruptError } from '../errors.ts';
import { linesOf } from '../internal/lines-of.ts';
import { makeFolder } from '../internal/make-folder.ts';
import { writeAll } from '../internal/write-all.ts';
import { syncFolder, writeWhole } from '../internal/write-whole.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import { parseLine } from './entry.ts';
import { HASH_BYTES } from './merkle.ts';
import type { AuditMeta, AuditStore, StoredLines, StoredSegment } from './store.ts';
import { takeWriterLock } from './writer-lock.ts';

/**
 * Keeps an audit log in a folder of its own.
 *
 * `segment-000000.log` holds a segment's lines, `.tree` its tree once it is full, `.root` what stays when
 * it was dropped; `checkpoints` and `audit.json` the rest. `writer.lock` keeps a second writer away.
 *
 * A sync that failed tells so once: the system may have thrown away what was not on the disk, and the next sync
 * succeeds without it; where its blocks were only promised, writing them again in place does not help either. So
 * what was written since the last good sync is kept, and after a failed one the segment is written anew beside itself.
 */
export class FileAuditStore implements AuditStore {
  readonly #directory: string;
  readonly #checkpoints: CheckpointFile;
  #release: (() => void) | undefined;
  #log: FileHandle | undefined;
  #logSegment = -1;
  #logBytes = 0;
  /** What was written since the last good sync, and how much that is. */
  #unsynced: Buffer[] = [];
  #unsyncedBytes = 0;
  /** Whether the last sync failed. */
  #isDoubtful = false;

  constructor(directory: string) {
    this.#directory = directory;
    this.#checkpoints = new CheckpointFile(this.#path('checkpoints'));
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  #segmentName(segment: number, kind: 'log' | 'tree' | 'root'): string {
    return `segment-${String(segment).padStart(6, '0')}.${kind}`;
  }

  #segmentPath(segment: number, kind: 'log' | 'tree' | 'root'): string {
    return this.#path(this.#segmentName(segment, kind));
  }

  async meta(): Promise<AuditMeta | undefined> {
    const path = this.#path('audit.json');
    if (!existsSync(path)) return undefined;
    let meta: unknown;
    try {
      meta = JSON.parse(await readFile(path, 'utf8'));
    } catch (cause) {
      throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `${path} is not JSON`, { cause });
    }
    const { format, origin, segmentEntries } = (meta ?? {}) as Partial<AuditMeta>;
    if (format !== 1 || typeof origin !== 'string' || !isSegmentSize(segmentEntries))
      throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `${path} does not describe an audit log`);
    return { format, origin, segmentEntries };
  }

  async open(meta: AuditMeta): Promise<AuditMeta> {
    await makeFolder(this.#directory);
    this.#release = takeWriterLock(this.#path('writer.lock'));
    const stored = await this.meta();
    if (stored === undefined) writeWhole(this.#path('audit.json'), `${JSON.stringify(meta)}\n`);
    // What an earlier writer could not bring to the disk can still be read from memory, and be gone later.
    for (const { number, state } of await this.segments()) {
      const path = this.#segmentPath(number, 'log');
      if (state === 'open') writeWhole(path, await readFile(path));
    }
    await this.#checkpoints.open();
    return stored ?? meta;
  }

  async segments(): Promise<readonly StoredSegment[]> {
    const names = new Set(existsSync(this.#directory) ? await readdir(this.#directory) : []);
    const numbers = new Set<number>();
    for (const name of names) {
      const match = /^segment-(\d{6,})\.(log|tree|root)$/.exec(name);
      if (match !== null) numbers.add(Number(match[1]));
    }
    const segments: StoredSegment[] = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      // A root beside entries is a drop that was cut off: its entries still count.
      if (!names.has(this.#segmentName(number, 'log'))) {
        segments.push({ number, state: 'dropped', root: await this.#droppedRoot(number) });
      } else if (!names.has(this.#segmentName(number, 'tree'))) {
        segments.push({ number, state: 'open', root: undefined });
      } else {
        segments.push({ number, state: 'sealed', root: await this.#sealedRoot(number) });
      }
    }
    return segments;
  }

  /** The last hash of a tree, without the rest of it. */
  async #sealedRoot(segment: number): Promise<Buffer> {
    const file = await open(this.#segmentPath(segment, 'tree'), 'r');
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(HASH_BYTES),
        0,
        HASH_BYTES,
        Math.max(0, size - HASH_BYTES),
      );
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async #droppedRoot(segment: number): Promise<Buffer> {
    const path = this.#segmentPath(segment, 'root');
    const text = existsSync(path) ? await readFile(path, 'utf8') : '';
    if (!/^[0-9a-f]{64}\n$/.test(text)) {
      throw new AuditCorruptError(
        'HOTPATH_AUDIT_CORRUPT',
        `segment ${segment} has neither entries nor a root`,
      );
    }
    return Buffer.from(text.trim(), 'hex');
  }

  async lines(segment: number): Promise<StoredLines> {
    const lines = linesOf(await readFile(this.#segmentPath(segment, 'log')));
    const torn = lines.pop() as string;
    return { lines, torn };
  }

  async repair(segment: number, lines: readonly string[]): Promise<number> {
    const file = await open(this.#segmentPath(segment, 'log'), 'r+');
    try {
      const { size } = await file.stat();
      const keptBytes = lines.reduce((bytes, line) => bytes + Buffer.byteLength(line) + 1, 0);
      await file.truncate(keptBytes);
      await file.sync();
      return size - keptBytes;
    } finally {
      await file.close();
    }
  }

  tree(segment: number): Promise<Buffer> {
    return readFile(this.#segmentPath(segment, 'tree'));
  }

  checkpoints(): Promise<readonly string[]> {
    return this.#checkpoints.notes();
  }

  async append(segment: number, _firstIndex: number, lines: readonly string[]): Promise<void> {
    if (this.#isDoubtful || this.#unsyncedBytes > MOST_UNSYNCED_BYTES) await this.sync();
    const log = await this.#logOf(segment);
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    // At a place of its own, so that what a failed write left is written over.
    await writeAll(log, bytes, this.#logBytes);
    this.#logBytes += bytes.length;
    this.#unsynced.push(bytes);
    this.#unsyncedBytes += bytes.length;
  }

  async #logOf(segment: number): Promise<FileHandle> {
    if (this.#log !== undefined && this.#logSegment === segment) return this.#log;
    await this.sync();
    await this.#log?.close();
    this.#log = undefined;
    const path = this.#segmentPath(segment, 'log');
    const log = await open(path, existsSync(path) ? 'r+' : 'wx+');
    try {
      this.#logBytes = (await log.stat()).size;
      syncFolder(this.#directory);
    } catch (error) {
      await log.close();
      throw error;
    }
    this.#log = log;
    this.#logSegment = segment;
    return log;
  }

  async seal(segment: number, tree: Buffer): Promise<void> {
    // The tree tells readers that the segment is whole.
    await this.sync();
    writeWhole(this.#segmentPath(segment, 'tree'), tree);
  }

  async sync(): Promise<void> {
    if (this.#log === undefined || this.#unsyncedBytes === 0) return;
    if (this.#isDoubtful) {
      await this.#writeAnew(this.#log);
    } else {
      this.#isDoubtful = true;
      await this.#log.datasync();
    }
    this.#isDoubtful = false;
    this.#unsynced = [];
    this.#unsyncedBytes = 0;
  }

  async #writeAnew(log: FileHandle): Promise<void> {
    const path = this.#segmentPath(this.#logSegment, 'log');
    const syncedBytes = this.#logBytes - this.#unsyncedBytes;
    const synced = (await readFile(path)).subarray(0, syncedBytes);
    const lines = linesOf(synced).slice(0, -1);
    if (synced.length < syncedBytes || lines.some((line) => parseLine(line) === undefined)) {
      throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `${path} lost what was on the disk`);
    }
    writeWhole(path, Buffer.concat([synced, ...this.#unsynced]));
    this.#log = await open(path, 'r+');
    await log.close();
  }

  async nodes(segment: number, positions: readonly number[]): Promise<readonly Buffer[]> {
    const file = await open(this.#segmentPath(segment, 'tree'), 'r');
    try {
      const spans = spansOf(positions);
      const pieces = await Promise.all(
        spans.map(async ({ start, end }) => {
          const bytes = Buffer.allocUnsafeSlow((end - start) * HASH_BYTES);
          const { bytesRead } = await file.read(bytes, 0, bytes.length, start * HASH_BYTES);
          if (bytesRead !== bytes.length) {
            throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `the tree of segment ${segment} is cut off`);
          }
          return { start, end, bytes };
        }),
      );
      return positions.map((position) => {
        const piece = pieces.find(({ start, end }) => position >= start && position < end);
        const { start, bytes } = piece as { readonly start: number; readonly bytes: Buffer };
        return bytes.subarray((position - start) * HASH_BYTES, (position - start + 1) * HASH_BYTES);
      });
    } finally {
      await file.close();
    }
  }

  addCheckpoint(note: string): Promise<void> {
    return this.#checkpoints.add(note);
  }

  async drop(segment: number): Promise<void> {
    const tree = await this.tree(segment);
    writeWhole(this.#segmentPath(segment, 'root'), `${tree.subarray(-HASH_BYTES).toString('hex')}\n`);
    await rm(this.#segmentPath(segment, 'log'), { force: true });
    await rm(this.#segmentPath(segment, 'tree'), { force: true });
  }

  async close(): Promise<void> {
    try {
      await this.#log?.close();
    } finally {
      this.#log = undefined;
      this.#release?.();
      this.#release = undefined;
    }
  }
}

function isSegmentSize(value: unknown): value is number {
  return typeof value === 'number' && value > 1 && Number.isInteger(Math.log2(value));
}

/** Kept in memory until a sync at most, also where the log does not sync each flush. */
const MOST_UNSYNCED_BYTES = 16 * 2 ** 20;

/** Hashes that one read may take: the upper half of a tree's levels lies as close together. */
const LARGEST_SPAN = 256;

/** The runs of hashes to read, so that positions close together need one read. */
function spansOf(positions: readonly number[]): readonly { readonly start: number; readonly end: number }[] {
  const spans: { start: number; end: number }[] = [];
  for (const position of positions.toSorted((a, b) => a - b)) {
    const last = spans.at(-1);
    if (last !== undefined && position < last.start + LARGEST_SPAN) last.end = position + 1;
    else spans.push({ start: position, end: position + 1 });
  }
  return spans;
}
