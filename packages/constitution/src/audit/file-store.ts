import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditCorruptError } from '../errors.ts';
import { linesOf } from '../internal/lines-of.ts';
import { writeWhole } from '../internal/write-whole.ts';
import { HASH_BYTES } from './merkle.ts';
import type { AuditMeta, AuditStore, StoredLines, StoredSegment } from './store.ts';
import { takeWriterLock } from './writer-lock.ts';

/**
 * Keeps an audit log in a folder of its own.
 *
 * `segment-000000.log` holds a segment's lines, `.tree` its tree once it is full, `.root` what stays when
 * it was dropped; `checkpoints` and `audit.json` the rest. `writer.lock` keeps a second writer away.
 */
export class FileAuditStore implements AuditStore {
  readonly #directory: string;
  #release: (() => void) | undefined;
  #log: FileHandle | undefined;
  #logSegment = -1;
  #logBytes = 0;
  /** Files written since the last sync. */
  #unsynced = new Set<FileHandle>();

  constructor(directory: string) {
    this.#directory = directory;
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
    const isMeta =
      format === 1 && typeof origin === 'string' && Number.isInteger(Math.log2(Number(segmentEntries)));
    if (!isMeta)
      throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `${path} does not describe an audit log`);
    return { format, origin, segmentEntries: segmentEntries as number };
  }

  async open(meta: AuditMeta): Promise<AuditMeta> {
    await mkdir(this.#directory, { recursive: true });
    this.#release = takeWriterLock(this.#path('writer.lock'));
    const stored = await this.meta();
    if (stored === undefined) writeWhole(this.#path('audit.json'), `${JSON.stringify(meta)}\n`);
    const checkpoints = this.#path('checkpoints');
    if (existsSync(checkpoints)) await cutTornLine(checkpoints);
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

  async checkpoints(): Promise<readonly string[]> {
    const path = this.#path('checkpoints');
    if (!existsSync(path)) return [];
    const lines = (await readFile(path, 'utf8')).split('\n');
    if (lines.at(-1) === '') lines.pop();
    return lines.map((line) => {
      try {
        return String(JSON.parse(line));
      } catch {
        return line;
      }
    });
  }

  async append(segment: number, _firstIndex: number, lines: readonly string[]): Promise<void> {
    const log = await this.#logOf(segment);
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    // At a place of its own, so that what a failed write left is written over.
    await writeAll(log, bytes, this.#logBytes);
    this.#logBytes += bytes.length;
    this.#unsynced.add(log);
  }

  async #logOf(segment: number): Promise<FileHandle> {
    if (this.#log !== undefined && this.#logSegment === segment) return this.#log;
    await this.sync();
    await this.#log?.close();
    this.#log = undefined;
    const path = this.#segmentPath(segment, 'log');
    const log = await open(path, existsSync(path) ? 'r+' : 'wx+');
    this.#log = log;
    this.#logSegment = segment;
    this.#logBytes = (await log.stat()).size;
    return log;
  }

  async seal(segment: number, tree: Buffer): Promise<void> {
    // The tree tells readers that the segment is whole.
    await this.sync();
    writeWhole(this.#segmentPath(segment, 'tree'), tree);
  }

  async sync(): Promise<void> {
    for (const file of this.#unsynced) await file.datasync();
    this.#unsynced.clear();
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

  async addCheckpoint(note: string): Promise<void> {
    const file = await open(this.#path('checkpoints'), 'a');
    try {
      await file.writeFile(`${JSON.stringify(note)}\n`);
      await file.datasync();
    } finally {
      await file.close();
    }
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

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** A checkpoint whose write was cut off says nothing; it must not spoil the next one. */
async function cutTornLine(path: string): Promise<void> {
  const content = await readFile(path);
  const end = content.lastIndexOf(10) + 1;
  if (end === content.length) return;
  const file = await open(path, 'r+');
  try {
    await file.truncate(end);
  } finally {
    await file.close();
  }
}
