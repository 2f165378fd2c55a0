import { AuditRejectedError } from '../errors.ts';
import { MerkleTree, type NodeKey, positionOf } from './merkle.ts';
import type { AuditStore } from './store.ts';

/**
 * A log's Merkle tree: the open segment and the roots of all others in memory, the rest in the store.
 *
 * A segment's size is a power of two, so a full one is a whole subtree, and its root a node of the tree.
 * Memory: 64 bytes an entry of the open segment and of those that are being sealed, and 64 bytes a segment.
 */
export class TreeOfSegments {
  readonly #segmentEntries: number;
  readonly #height: number;
  readonly #store: AuditStore;
  readonly #roots = new MerkleTree();
  #open = new MerkleTree();
  /** Full segments that the store does not have yet. */
  readonly #unsealed = new Map<number, MerkleTree>();
  readonly #dropped = new Set<number>();

  constructor(segmentEntries: number, store: AuditStore) {
    this.#segmentEntries = segmentEntries;
    this.#height = Math.log2(segmentEntries);
    this.#store = store;
  }

  get size(): number {
    return this.#roots.size * this.#segmentEntries + this.#open.size;
  }

  /** Adds an entry by its leaf hash, in hex. */
  append(leaf: string): void {
    this.#open.append(leaf);
    if (this.#open.size < this.#segmentEntries) return;
    this.#unsealed.set(this.#roots.size, this.#open);
    this.#roots.append(this.#open.root().toString('hex'));
    this.#open = new MerkleTree();
  }

  /** Takes over a segment that the store has sealed or dropped. */
  appendSegment(root: Buffer, isDropped: boolean): void {
    if (isDropped) this.#dropped.add(this.#roots.size);
    this.#roots.append(root.toString('hex'));
  }

  /** Full segments that still have to be sealed, the oldest first. */
  get unsealedSegments(): readonly number[] {
    return [...this.#unsealed.keys()];
  }

  /** The tree of a full segment that still has to be sealed. */
  unsealed(segment: number): MerkleTree | undefined {
    return this.#unsealed.get(segment);
  }

  sealed(segment: number): void {
    this.#unsealed.delete(segment);
  }

  dropped(segment: number): void {
    this.#dropped.add(segment);
  }

  isDropped(segment: number): boolean {
    return this.#dropped.has(segment);
  }

  /** @throws AuditRejectedError (HOTPATH_AUDIT_DROPPED) when a node's segment was dropped. */
  readonly nodes = async (keys: readonly NodeKey[]): Promise<readonly Buffer[]> => {
    const found: Buffer[] = new Array(keys.length);
    const wanted = new Map<number, { readonly at: number; readonly position: number }[]>();
    keys.forEach((key, at) => {
      const hashed = this.#inMemory(key);
      if (hashed !== undefined) {
        found[at] = hashed;
        return;
      }
      const segment = this.#segmentOf(key);
      if (this.#dropped.has(segment)) {
        throw new AuditRejectedError(
          'HOTPATH_AUDIT_DROPPED',
          `the entries of segment ${segment} were dropped`,
        );
      }
      const position = positionOf(this.#within(key), this.#segmentEntries);
      const places = wanted.get(segment);
      if (places === undefined) wanted.set(segment, [{ at, position }]);
      else places.push({ at, position });
    });
    for (const [segment, places] of wanted) {
      const hashes = await this.#store.nodes(
        segment,
        places.map(({ position }) => position),
      );
      places.forEach(({ at }, index) => {
        found[at] = hashes[index] as Buffer;
      });
    }
    return found;
  };

  #segmentOf({ level, index }: NodeKey): number {
    return Math.floor(index / 2 ** (this.#height - level));
  }

  /** The key as the segment's own tree counts. */
  #within({ level, index }: NodeKey): NodeKey {
    return { level, index: index % 2 ** (this.#height - level) };
  }

  #inMemory(key: NodeKey): Buffer | undefined {
    if (key.level >= this.#height) {
      return this.#roots.node({ level: key.level - this.#height, index: key.index });
    }
    const segment = this.#segmentOf(key);
    const tree = segment === this.#roots.size ? this.#open : this.#unsealed.get(segment);
    return tree?.node(this.#within(key));
  }
}
