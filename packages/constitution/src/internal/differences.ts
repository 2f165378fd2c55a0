/** A line that only one of two texts has. */
export interface LineDifference {
  readonly kind: 'removed' | 'added';
  /** Its number in the text that has it, from 1. */
  readonly line: number;
  readonly text: string;
}

// The table of a longest common subsequence has the product of both lengths as its size.
const LARGEST_TABLE = 4_000_000;

/** The lines that lead from one text to the other: as few as possible, unless both are very long. */
export function differences(before: readonly string[], after: readonly string[]): LineDifference[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let endBefore = before.length;
  let endAfter = after.length;
  while (endBefore > start && endAfter > start && before[endBefore - 1] === after[endAfter - 1]) {
    endBefore--;
    endAfter--;
  }
  const removed = before.slice(start, endBefore);
  const added = after.slice(start, endAfter);
  const isShort = (removed.length + 1) * (added.length + 1) <= LARGEST_TABLE;
  const common = isShort ? commonLengths(removed, added) : undefined;
  const found: LineDifference[] = [];
  let i = 0;
  let j = 0;
  while (i < removed.length || j < added.length) {
    const isCommon =
      common !== undefined && i < removed.length && j < added.length && removed[i] === added[j];
    if (isCommon) {
      i++;
      j++;
    } else if (
      i < removed.length &&
      (j === added.length || common === undefined || lengthAt(common, i + 1, j) >= lengthAt(common, i, j + 1))
    ) {
      found.push({ kind: 'removed', line: start + i + 1, text: removed[i++] as string });
    } else {
      found.push({ kind: 'added', line: start + j + 1, text: added[j++] as string });
    }
  }
  return found;
}

/** For each pair of places the length of the longest common subsequence behind them. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly Uint32Array[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint32Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      (lengths[i] as Uint32Array)[j] =
        before[i] === after[j]
          ? lengthAt(lengths, i + 1, j + 1) + 1
          : Math.max(lengthAt(lengths, i + 1, j), lengthAt(lengths, i, j + 1));
    }
  }
  return lengths;
}

function lengthAt(lengths: readonly Uint32Array[], i: number, j: number): number {
  return lengths[i]?.[j] ?? 0;
}
