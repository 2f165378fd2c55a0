import { KeyObject } from 'node:crypto';
import { AuditCorruptError } from '../errors.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { FileAuditStore } from './file-store.ts';
import { foldSubtrees, HASH_BYTES, MerkleTree, wholeSubtrees } from './merkle.ts';
import type { AuditReader, StoredSegment } from './store.ts';
import { type AuditProblem, inspectSegment } from './verify-segment.ts';

export type { AuditProblem } from './verify-segment.ts';

/** What {@link verifyAuditLog} takes besides the log. */
export interface VerifyOptions {
  /** Ed25519: every checkpoint must be signed by it. Default: signatures are not looked at. */
  readonly publicKey?: KeyObject | undefined;
  /** Checkpoints kept elsewhere; only these prove that the log as a whole was not written anew. */
  readonly checkpoints?: readonly string[] | undefined;
  /** Called after each segment. */
  readonly onProgress?: ((entries: number) => void) | undefined;
}

/** What a verification found. */
export interface AuditVerification {
  readonly ok: boolean;
  /** Entries, those that were dropped included. */
  readonly size: number;
  readonly dropped: number;
  /** Hex, over the entries as they are. */
  readonly root: string;
  /** Checkpoints that the entries agree with. */
  readonly checkpoints: number;
  /** At most 1,000; `ok` is false when there is one. */
  readonly problems: readonly AuditProblem[];
}

const MOST_PROBLEMS = 1_000;
/** Segments; each of them takes time and memory of its own. */
const MOST_MISSING = 100_000;

/**
 * Reads a whole audit log and names each entry that was altered, removed, moved or slipped in.
 *
 * Also while the log is being written; the line that is just being written then counts as torn.
 * Memory: one segment. Cost: some microseconds an entry.
 *
 * @param log A folder, or `postgresAuditStore(…)`.
 * @throws AuditCorruptError (HOTPATH_AUDIT_CORRUPT) when there is no log, or it is too damaged to be read.
 * @throws TypeError when `publicKey` is none.
 */
export async function verifyAuditLog(
  log: string | AuditReader,
  { publicKey, checkpoints: outside = [], onProgress }: VerifyOptions = {},
): Promise<AuditVerification> {
  checkPublicKey(publicKey);
  const reader = typeof log === 'string' ? new FileAuditStore(log) : log;
  const meta = await reader.meta();
  if (meta === undefined) {
    const where = typeof log === 'string' ? ` in ${log}` : '';
    throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `there is no audit log${where}`);
  }
  const problems: AuditProblem[] = [];
  // Checkpoints first: what they cover was written before them, and a writer goes on meanwhile.
  const notes = [...(await reader.checkpoints()), ...outside];
  const segments = await reader.segments();
  const checkpoints = readCheckpoints(notes, meta.origin, publicKey, problems);
  const verification = new Verification(reader, meta.segmentEntries, checkpoints, problems);
  const byNumber = new Map(segments.map((segment) => [segment.number, segment]));
  const last = segments.at(-1)?.number ?? -1;
  const missing = last + 1 - segments.length;
  if (missing > MOST_MISSING) {
    throw new AuditCorruptError(
      'HOTPATH_AUDIT_CORRUPT',
      `the audit log is damaged: ${missing} segments before segment ${last} are missing`,
    );
  }
  for (let number = 0; number <= last; number++) {
    await verification.read(number, byNumber.get(number), number === last);
    onProgress?.(verification.size);
  }
  return verification.finish();
}

/** Otherwise every checkpoint would seem to be damaged. */
function checkPublicKey(key: unknown): void {
  if (key === undefined) return;
  if (!(key instanceof KeyObject) || key.type !== 'public' || key.asymmetricKeyType !== 'ed25519') {
    throw new TypeError("verifyAuditLog: option 'publicKey' must be a public Ed25519 key");
  }
}

/** Stands for the root of a segment that nothing is left of. */
const NO_ROOT = '0'.repeat(2 * HASH_BYTES);

class Verification {
  readonly #reader: AuditReader;
  readonly #segmentEntries: number;
  /** By rising size; those up to `#next` have been compared. */
  readonly #checkpoints: readonly Checkpoint[];
  #next = 0;
  readonly #problems: AuditProblem[];
  readonly #roots = new MerkleTree();
  /** Of the segment that was read last. */
  #tree = new MerkleTree();
  #tail = new MerkleTree();
  #size = 0;
  #dropped = 0;
  #agreed = 0;
  #agreedSize = 0;

  constructor(
    reader: AuditReader,
    segmentEntries: number,
    checkpoints: readonly Checkpoint[],
    problems: AuditProblem[],
  ) {
    this.#reader = reader;
    this.#segmentEntries = segmentEntries;
    this.#checkpoints = checkpoints;
    this.#problems = problems;
  }

  get size(): number {
    return this.#size;
  }

  /** Reads the next segment, and compares the checkpoints that end in it. */
  async read(number: number, segment: StoredSegment | undefined, isLast: boolean): Promise<void> {
    const first = number * this.#segmentEntries;
    const end = first + this.#segmentEntries;
    this.#tree = new MerkleTree();
    this.#size = end;
    if (segment === undefined) {
      this.#problems.push({ kind: 'removed', index: first, until: end, detail: 'the segment is gone' });
      this.#roots.append(NO_ROOT);
    } else if (segment.state === 'dropped') {
      this.#dropped += this.#segmentEntries;
      this.#roots.append((segment.root as Buffer).toString('hex'));
    } else {
      const found = await inspectSegment(this.#reader, segment, first, this.#segmentEntries, isLast);
      this.#problems.push(...found.problems);
      this.#tree = found.tree;
      this.#size = found.end;
      if (found.tree.size === this.#segmentEntries) this.#roots.append(found.tree.root().toString('hex'));
      else if (found.end === end) this.#roots.append(found.sealedRoot?.toString('hex') ?? NO_ROOT);
      else this.#tail = found.tree;
    }
    this.#compare(number);
  }

  #compare(number: number): void {
    for (; this.#next < this.#checkpoints.length; this.#next++) {
      const { size, root } = this.#checkpoints[this.#next] as Checkpoint;
      if (size > this.#size) return;
      const actual = this.#rootOf(size, number);
      if (actual?.toString('hex') === root) {
        this.#agreed++;
        this.#agreedSize = size;
      } else if (actual !== undefined && !this.#isKnownDamaged(size)) {
        const detail = 'these entries, or the checkpoint, were written anew';
        this.#problems.push({ kind: 'altered', index: this.#agreedSize, until: size, detail });
      }
    }
  }

  /** `undefined` when it takes nodes of a segment that was dropped or is not whole. */
  #rootOf(size: number, number: number): Buffer | undefined {
    const height = Math.log2(this.#segmentEntries);
    const within = size - number * this.#segmentEntries;
    if (within > this.#tree.size && within < this.#segmentEntries) return undefined;
    const nodes = wholeSubtrees(0, size).map(({ level, index }) =>
      level >= height
        ? this.#roots.node({ level: level - height, index })
        : this.#tree.node({ level, index: index % 2 ** (height - level) }),
    );
    return foldSubtrees(nodes);
  }

  #isKnownDamaged(size: number): boolean {
    return this.#problems.some(({ index }) => index !== undefined && index < size);
  }

  finish(): AuditVerification {
    for (const { size } of this.#checkpoints.slice(this.#next)) {
      const detail = 'a checkpoint covers more entries';
      this.#problems.push({ kind: 'removed', index: this.#size, until: size, detail });
    }
    const whole = wholeSubtrees(0, this.#roots.size).map((key) => this.#roots.node(key));
    const rest = wholeSubtrees(0, this.#tail.size).map((key) => this.#tail.node(key));
    return {
      ok: this.#problems.length === 0,
      size: this.#size,
      dropped: this.#dropped,
      root: foldSubtrees([...whole, ...rest]).toString('hex'),
      checkpoints: this.#agreed,
      problems: reconciled(this.#problems).slice(0, MOST_PROBLEMS),
    };
  }
}

function readCheckpoints(
  notes: readonly string[],
  origin: string,
  publicKey: KeyObject | undefined,
  problems: AuditProblem[],
): Checkpoint[] {
  const checkpoints: Checkpoint[] = [];
  notes.forEach((note, place) => {
    try {
      const checkpoint = parseCheckpoint(note, publicKey);
      if (checkpoint.origin !== origin) {
        throw new AuditCorruptError(
          'HOTPATH_AUDIT_CHECKPOINT',
          `it is of the log ${checkpoint.origin}, not ${origin}`,
        );
      }
      checkpoints.push(checkpoint);
    } catch (error) {
      problems.push({ kind: 'checkpoint', detail: `checkpoint ${place}: ${(error as Error).message}` });
    }
  });
  return checkpoints.sort((a, b) => a.size - b.size);
}

/** An entry that is missing in one place and stands in another was moved. */
function reconciled(problems: readonly AuditProblem[]): AuditProblem[] {
  const missing = new Map<number, AuditProblem>();
  for (const problem of problems) {
    if (problem.kind === 'removed' && problem.until === undefined)
      missing.set(problem.index as number, problem);
  }
  const explained = new Set<AuditProblem>();
  const kept = problems.map((problem): AuditProblem => {
    const gap = problem.kind === 'inserted' ? missing.get(problem.index as number) : undefined;
    if (gap === undefined || explained.has(gap)) return problem;
    explained.add(gap);
    return { ...problem, kind: 'moved' };
  });
  return kept.filter((problem) => !explained.has(problem)).sort((a, b) => (a.index ?? -1) - (b.index ?? -1));
}
