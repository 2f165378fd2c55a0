import { hash } from 'node:crypto';

/** Bytes of a SHA-256. */
export const HASH_BYTES = 32;

const pair = Buffer.alloc(1 + 2 * HASH_BYTES);
pair[0] = 1;

/** The root of a tree without leaves (RFC 6962 §2.1). */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer');

/** A leaf's hash in hex: SHA-256 of a zero byte and the entry (RFC 6962 §2.1). */
export function leafHash(entry: string): string {
  return hash('sha256', LEAF_PREFIX + entry, 'hex');
}

/** What stands before an entry when it is hashed. */
export const LEAF_PREFIX = '\0';

/** The hash of what `pair` holds, a byte a character: Node makes that many times faster than a buffer. */
function hashOfPair(): string {
  return hash('sha256', pair, 'binary');
}

/** An inner node's hash: SHA-256 of a one byte and both children (RFC 6962 §2.1). */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  left.copy(pair, 1);
  right.copy(pair, 1 + HASH_BYTES);
  return Buffer.from(hashOfPair(), 'latin1');
}

/** The largest power of two below `count`, which must be at least 2: where RFC 6962 splits a tree. */
export function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** A whole subtree: `2 ** level` leaves from `index * 2 ** level` on. */
export interface NodeKey {
  readonly level: number;
  readonly index: number;
}

/** The whole subtrees that the leaves from `start` to `end` consist of, from the left; `start` must be one that RFC 6962 splits at. */
export function wholeSubtrees(start: number, end: number): NodeKey[] {
  const keys: NodeKey[] = [];
  for (let from = start; from < end; ) {
    let level = 0;
    while (from % 2 ** (level + 1) === 0 && from + 2 ** (level + 1) <= end) level++;
    keys.push({ level, index: from / 2 ** level });
    from += 2 ** level;
  }
  return keys;
}

/** The root over whole subtrees of falling size, as {@link wholeSubtrees} lists them. */
export function foldSubtrees(hashes: readonly Buffer[]): Buffer {
  let root = hashes.at(-1);
  if (root === undefined) return EMPTY_ROOT;
  for (let index = hashes.length - 2; index >= 0; index--) root = nodeHash(hashes[index] as Buffer, root);
  return root;
}

const FIRST_CAPACITY = 16;

/**
 * A Merkle tree in memory that keeps every whole subtree's hash.
 *
 * Cost: 64 bytes a leaf; one hash a leaf on average.
 */
export class MerkleTree {
  readonly #levels: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a leaf by its hash, in hex. */
  append(leaf: string): void {
    let index = this.#size++;
    this.#put(0, index, leaf, 'hex');
    for (let level = 0; (index & 1) === 1; level++) {
      const nodes = this.#levels[level] as Buffer;
      // Both children lie side by side.
      nodes.copy(pair, 1, (index - 1) * HASH_BYTES, (index + 1) * HASH_BYTES);
      index >>= 1;
      this.#put(level + 1, index, hashOfPair(), 'latin1');
    }
  }

  #put(level: number, index: number, hashed: string, encoding: 'hex' | 'latin1'): void {
    let nodes = this.#levels[level];
    const offset = index * HASH_BYTES;
    if (nodes === undefined) {
      nodes = Buffer.allocUnsafeSlow(FIRST_CAPACITY * HASH_BYTES);
      this.#levels[level] = nodes;
    } else if (offset === nodes.length) {
      const larger = Buffer.allocUnsafeSlow(nodes.length * 2);
      nodes.copy(larger);
      nodes = larger;
      this.#levels[level] = nodes;
    }
    nodes.write(hashed, offset, HASH_BYTES, encoding);
  }

  /** The hash of a whole subtree. */
  node({ level, index }: NodeKey): Buffer {
    const offset = index * HASH_BYTES;
    if ((index + 1) * 2 ** level > this.#size) throw new RangeError(`no whole subtree ${level}:${index} yet`);
    return Buffer.from((this.#levels[level] as Buffer).subarray(offset, offset + HASH_BYTES));
  }

  /** The root over the first `size` leaves. */
  root(size: number = this.#size): Buffer {
    return foldSubtrees(wholeSubtrees(0, size).map((key) => this.node(key)));
  }

  /** All nodes of a tree whose size is a power of two: level by level, the root last. */
  toBuffer(): Buffer {
    const parts: Buffer[] = [];
    for (let level = 0, count = this.#size; count >= 1; level++, count /= 2) {
      parts.push((this.#levels[level] as Buffer).subarray(0, count * HASH_BYTES));
    }
    return Buffer.concat(parts);
  }
}

/** Where {@link MerkleTree.toBuffer} put a node, counted in hashes. */
export function positionOf({ level, index }: NodeKey, leaves: number): number {
  // Level j holds leaves / 2^j nodes.
  return 2 * leaves - leaves / 2 ** (level - 1) + index;
}
