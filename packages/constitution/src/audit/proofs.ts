import { EMPTY_ROOT, foldSubtrees, type NodeKey, nodeHash, splitOf, wholeSubtrees } from './merkle.ts';

/** Proves that an entry is in a log of `size` entries. Hashes are hex. */
export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly leaf: string;
  readonly path: readonly string[];
}

/** Proves that a log of `to` entries begins with the log of `from` entries. Hashes are hex. */
export interface ConsistencyProof {
  readonly from: number;
  readonly to: number;
  readonly path: readonly string[];
}

type Range = readonly [start: number, end: number];

/** The ranges whose roots lead from leaf `index` to the root over `size` leaves, from the leaf up (RFC 6962 §2.1.1). */
export function inclusionRanges(index: number, size: number): Range[] {
  const ranges: Range[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitOf(end - start);
    if (index < middle) {
      ranges.push([middle, end]);
      end = middle;
    } else {
      ranges.push([start, middle]);
      start = middle;
    }
  }
  return ranges.reverse();
}

/** The ranges that prove the first `from` leaves a beginning of the first `to` (RFC 6962 §2.1.2). */
export function consistencyRanges(from: number, to: number): Range[] {
  if (from === 0 || from === to) return [];
  const ranges: Range[] = [];
  let start = 0;
  let end = to;
  while (from !== end) {
    const middle = start + splitOf(end - start);
    if (from <= middle) {
      ranges.push([middle, end]);
      end = middle;
    } else {
      ranges.push([start, middle]);
      start = middle;
    }
  }
  if (start > 0) ranges.push([start, end]);
  return ranges.reverse();
}

/** The root of each range, asking for all nodes that it takes at once. */
export async function rootsOfRanges(
  ranges: readonly Range[],
  nodes: (keys: readonly NodeKey[]) => Promise<readonly Buffer[]>,
): Promise<Buffer[]> {
  const keysOfRanges = ranges.map(([start, end]) => wholeSubtrees(start, end));
  const found = await nodes(keysOfRanges.flat());
  let used = 0;
  return keysOfRanges.map((keys) => {
    const hashes = found.slice(used, used + keys.length);
    used += keys.length;
    return foldSubtrees(hashes);
  });
}

/**
 * Whether a proof leads from its leaf to a root (hex), which the caller must trust, as from a signed checkpoint.
 *
 * Algorithm: RFC 9162 §2.1.3.2. Whether the leaf is of the entry in question is for the caller: `leafHashOf(entry)`.
 */
export function verifyInclusion({ index, size, leaf, path }: InclusionProof, root: string): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !areHashes([leaf, root, ...path])) return false;
  let node = index;
  let last = size - 1;
  let hashed = fromHex(leaf);
  for (const text of path) {
    if (last === 0) return false;
    const sibling = fromHex(text);
    if (node % 2 === 1 || node === last) {
      hashed = nodeHash(sibling, hashed);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hashed = nodeHash(hashed, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && hashed.equals(fromHex(root));
}

/**
 * Whether the log with `toRoot` begins with the log with `fromRoot` (both hex).
 *
 * Algorithm: RFC 9162 §2.1.4.2.
 */
export function verifyConsistency(
  { from, to, path }: ConsistencyProof,
  fromRoot: string,
  toRoot: string,
): boolean {
  if (!isCount(from) || !isCount(to) || from > to || !areHashes([fromRoot, toRoot, ...path])) return false;
  if (from === to) return path.length === 0 && fromRoot === toRoot;
  if (from === 0) return path.length === 0 && fromRoot === EMPTY_ROOT.toString('hex');
  const hashes = path.map(fromHex);
  if (Number.isInteger(Math.log2(from))) hashes.unshift(fromHex(fromRoot));
  let node = from - 1;
  let last = to - 1;
  while (node % 2 === 1) {
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  const [first, ...rest] = hashes;
  if (first === undefined) return false;
  let older = first;
  let newer = first;
  for (const hashed of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      older = nodeHash(hashed, older);
      newer = nodeHash(hashed, newer);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      newer = nodeHash(newer, hashed);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && older.equals(fromHex(fromRoot)) && newer.equals(fromHex(toRoot));
}

const HASH = /^[0-9a-f]{64}$/;

function areHashes(texts: readonly unknown[]): boolean {
  return texts.every((text) => typeof text === 'string' && HASH.test(text));
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function fromHex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}
