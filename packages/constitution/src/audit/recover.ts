import { AuditCorruptError } from '../errors.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { parseLine } from './entry.ts';
import { HASH_BYTES } from './merkle.ts';
import type { ResolvedAuditLogOptions } from './options.ts';
import { rootsOfRanges } from './proofs.ts';
import type { AuditMeta, StoredLines } from './store.ts';
import { TreeOfSegments } from './tree-of-segments.ts';

/** A log as it was found, ready for the next entry. */
export interface Recovered {
  readonly meta: AuditMeta;
  readonly tree: TreeOfSegments;
  /** The size that the last checkpoint covers. */
  readonly checkpointedSize: number;
  readonly repairedBytes: number;
}

/**
 * Opens a log for writing: reads the open segment, takes off what a cut-off write left behind it, and
 * holds the result against the last checkpoint.
 *
 * @throws AuditCorruptError (HOTPATH_AUDIT_CORRUPT) when more is wrong than a cut-off write explains.
 */
export async function recover({
  store,
  origin,
  segmentEntries,
}: ResolvedAuditLogOptions): Promise<Recovered> {
  const meta = await store.open({ format: 1, origin, segmentEntries });
  // First: what it covers was written before it, and another process may write until it is noticed.
  const checkpoint = (await store.checkpoints()).at(-1);
  const tree = new TreeOfSegments(meta.segmentEntries, store);
  const segments = await store.segments();
  let repairedBytes = 0;
  for (const [position, segment] of segments.entries()) {
    if (segment.number !== position) throw corrupt(`segment ${position} is missing`);
    if (segment.root !== undefined) {
      if (segment.root.length !== HASH_BYTES) throw corrupt(`the tree of segment ${position} is cut off`);
      tree.appendSegment(segment.root, segment.state === 'dropped');
      continue;
    }
    const stored = await store.lines(position);
    const isLast = position === segments.length - 1;
    const { kept, isTorn } = replay(stored, position * meta.segmentEntries, tree);
    if (isTorn) {
      if (!isLast) throw corrupt(`segment ${position} is cut off in the middle of the log`);
      repairedBytes = await store.repair(position, kept);
    }
    const full = tree.unsealed(position);
    if (full !== undefined) {
      await store.seal(position, full.toBuffer());
      tree.sealed(position);
    } else if (!isLast) {
      throw corrupt(`segment ${position} is not full`);
    }
  }
  return { meta, tree, checkpointedSize: await heldAgainstCheckpoint(checkpoint, tree), repairedBytes };
}

/** Adds stored lines to the tree, up to a torn end. */
function replay(
  { lines, torn }: StoredLines,
  firstIndex: number,
  tree: TreeOfSegments,
): { readonly kept: readonly string[]; readonly isTorn: boolean } {
  let good = 0;
  for (const line of lines) {
    const parsed = parseLine(line);
    if (parsed === undefined) break;
    if (parsed.index !== firstIndex + good) {
      throw corrupt(`entry ${firstIndex + good} is missing: entry ${parsed.index} stands in its place`);
    }
    tree.append(parsed.leaf);
    good++;
  }
  const rest = lines.slice(good);
  // A cut-off write leaves a line without an end, and after a loss of power zeros; anything else was changed.
  if (rest.length > 0 && ![...rest, torn].some((line) => line.includes('\0')))
    throw corrupt(`entry ${firstIndex + good} was changed`);
  return { kept: lines.slice(0, good), isTorn: rest.length > 0 || torn !== '' };
}

async function heldAgainstCheckpoint(note: string | undefined, tree: TreeOfSegments): Promise<number> {
  if (note === undefined) return 0;
  const { size, root } = parseCheckpoint(note);
  if (size > tree.size) throw corrupt(`a checkpoint covers ${size} entries, of which ${tree.size} are left`);
  const [actual] = await rootsOfRanges([[0, size]], tree.nodes);
  if (actual?.toString('hex') !== root)
    throw corrupt(`the first ${size} entries are not those of a checkpoint`);
  return size;
}

function corrupt(problem: string): AuditCorruptError {
  return new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', `the audit log is damaged: ${problem}`);
}
