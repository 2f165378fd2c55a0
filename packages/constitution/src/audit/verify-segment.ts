import { indexOf, parseLine } from './entry.ts';
import { HASH_BYTES, leafHash, MerkleTree } from './merkle.ts';
import type { AuditReader, StoredSegment } from './store.ts';

/**
 * What is wrong with a log.
 *
 * - `altered`: an entry is not what it was.
 * - `removed`: it is missing. `moved`: it stands elsewhere. `inserted`: it was never the log's.
 * - `torn`: the last line has no end, as after a crash; opening the log for writing takes it off.
 * - `tree`: a segment's stored tree was damaged. `checkpoint`: a checkpoint can't be read or is not signed.
 */
export type AuditProblemKind = 'altered' | 'removed' | 'moved' | 'inserted' | 'torn' | 'tree' | 'checkpoint';

/** One thing that is wrong. */
export interface AuditProblem {
  readonly kind: AuditProblemKind;
  /** The entry; the first of a run where `until` is given. */
  readonly index?: number;
  /** The end of a run: the entry behind its last. */
  readonly until?: number;
  readonly detail: string;
}

interface SegmentFindings {
  /** Over the lines as they are. */
  readonly tree: MerkleTree;
  /** The index behind the segment's last entry, those that are missing counted. */
  readonly end: number;
  /** What the stored tree says, where there is a sound one. */
  readonly sealedRoot: Buffer | undefined;
  readonly problems: readonly AuditProblem[];
}

/** Reads one segment's lines, and holds them against each other and against the stored tree. */
export async function inspectSegment(
  reader: AuditReader,
  segment: StoredSegment,
  first: number,
  segmentEntries: number,
  isLast: boolean,
): Promise<SegmentFindings> {
  const problems: AuditProblem[] = [];
  const { lines, torn } = await reader.lines(segment.number);
  const tree = new MerkleTree();
  const claimed: number[] = [];
  const altered = new Set<number>();
  for (const line of lines) {
    const parsed = parseLine(line);
    // An altered line still stands behind the one before it, whatever it says of itself.
    const expected = claimed.length === 0 ? first : (claimed.at(-1) as number) + 1;
    const index = parsed?.index ?? indexOf(line.slice(65)) ?? expected;
    if (parsed === undefined) altered.add(plausible(index, expected, first, segmentEntries));
    claimed.push(parsed === undefined ? plausible(index, expected, first, segmentEntries) : index);
    tree.append(parsed?.leaf ?? leafHash(line.slice(65)));
  }
  for (const index of altered) {
    problems.push({ kind: 'altered', index, detail: 'the entry and its hash do not belong together' });
  }
  if (torn !== '') {
    const index = first + lines.length;
    problems.push({ kind: 'torn', index, detail: 'the last line has no end' });
  }
  const isWhole = segment.state === 'sealed' || !isLast;
  const end = isWhole ? first + segmentEntries : endOf(claimed, first, segmentEntries);
  problems.push(...outOfPlace(claimed, first, end - first, torn !== ''));
  const sealedRoot =
    segment.state === 'sealed'
      ? compareWithTree(
          await reader.tree(segment.number),
          tree,
          segment.number,
          first,
          segmentEntries,
          problems,
        )
      : undefined;
  return { tree, end, sealedRoot, problems };
}

function plausible(index: number, expected: number, first: number, count: number): number {
  return index >= first && index < first + count ? index : expected;
}

/** The index behind the last entry that an open segment says to have. */
function endOf(claimed: readonly number[], first: number, segmentEntries: number): number {
  let end = first;
  for (const index of claimed) if (index >= end && index < first + segmentEntries) end = index + 1;
  return end;
}

/** Which entries of `first … first + count - 1` are missing, doubled, foreign or not in order. */
function outOfPlace(
  claimed: readonly number[],
  first: number,
  count: number,
  isTorn: boolean,
): AuditProblem[] {
  if (claimed.length === count && claimed.every((index, place) => index === first + place)) return [];
  const problems: AuditProblem[] = [];
  const seen = new Set<number>();
  const own: number[] = [];
  for (const index of claimed) {
    if (index < first || index >= first + count) {
      problems.push({ kind: 'inserted', index, detail: `stands in the segment of entry ${first}` });
    } else if (seen.has(index)) {
      problems.push({ kind: 'inserted', index, detail: 'stands there twice' });
    } else {
      seen.add(index);
      own.push(index);
    }
  }
  for (let index = first; index < first + count; index++) {
    if (seen.has(index) || (isTorn && index === first + claimed.length)) continue;
    problems.push({ kind: 'removed', index, detail: 'the entry is missing' });
  }
  const inOrder = longestRise(own);
  for (const index of own) {
    if (!inOrder.has(index)) problems.push({ kind: 'moved', index, detail: 'the entry is not at its place' });
  }
  return problems;
}

/** The members of a longest rising subsequence: those that need not have been moved. Algorithm: patience sorting. */
function longestRise(numbers: readonly number[]): Set<number> {
  const tails: number[] = [];
  const before = new Map<number, number | undefined>();
  for (const number of numbers) {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((tails[middle] as number) < number) low = middle + 1;
      else high = middle;
    }
    before.set(number, tails[low - 1]);
    tails[low] = number;
  }
  const members = new Set<number>();
  for (let member = tails.at(-1); member !== undefined; member = before.get(member)) members.add(member);
  return members;
}

/** The stored tree's root, when its nodes agree with each other. */
function compareWithTree(
  stored: Buffer,
  actual: MerkleTree,
  segment: number,
  first: number,
  segmentEntries: number,
  problems: AuditProblem[],
): Buffer | undefined {
  const rebuilt = new MerkleTree();
  const isSized = stored.length === (2 * segmentEntries - 1) * HASH_BYTES;
  for (let place = 0; isSized && place < segmentEntries; place++) {
    rebuilt.append(stored.toString('hex', place * HASH_BYTES, (place + 1) * HASH_BYTES));
  }
  if (!isSized || !rebuilt.toBuffer().equals(stored)) {
    problems.push({ kind: 'tree', detail: `the stored tree of segment ${segment} was changed` });
    return undefined;
  }
  const isKnown = problems.length > 0;
  for (let place = 0; !isKnown && place < segmentEntries; place++) {
    const leaf = { level: 0, index: place };
    if (!actual.node(leaf).equals(rebuilt.node(leaf))) {
      problems.push({
        kind: 'altered',
        index: first + place,
        detail: 'the entry is not the one that was sealed',
      });
    }
  }
  return rebuilt.root();
}
