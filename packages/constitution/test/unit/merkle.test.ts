import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY_ROOT, leafHash, MerkleTree, nodeHash, positionOf, splitOf } from '../../src/audit/merkle.ts';
import {
  consistencyRanges,
  inclusionRanges,
  rootsOfRanges,
  verifyConsistency,
  verifyInclusion,
} from '../../src/audit/proofs.ts';

/** The leaves, roots and proofs that Certificate Transparency's implementations share (github.com/transparency-dev/merkle, testonly/constants.go and cmd/proofgen). */
const LEAVES = ['', '\x00', '\x10', '\x20\x21', '\x30\x31', '@ABC', 'PQRSTUVW', '`abcdefghijklmno'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const NODES = {
  leaf1: '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
  leaf4: 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
  leaf6: 'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
  leaves2to3: '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
  leaves4to5: '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
  leaves6to7: 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  leaves4to7: '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
} as const;
/** Index, size, path. Theirs count entries from 1. */
const INCLUSIONS: readonly (readonly [number, number, readonly string[]])[] = [
  [0, 1, []],
  [0, 8, [NODES.leaf1, NODES.leaves2to3, NODES.leaves4to7]],
  [5, 8, [NODES.leaf4, NODES.leaves6to7, ROOTS[4] as string]],
  [2, 3, [ROOTS[2] as string]],
  [1, 5, [ROOTS[1] as string, NODES.leaves2to3, NODES.leaf4]],
];
/** Smaller size, larger size, path. */
const CONSISTENCIES: readonly (readonly [number, number, readonly string[]])[] = [
  [1, 1, []],
  [1, 8, [NODES.leaf1, NODES.leaves2to3, NODES.leaves4to7]],
  [6, 8, [NODES.leaves4to5, NODES.leaves6to7, ROOTS[4] as string]],
  [2, 5, [NODES.leaves2to3, NODES.leaf4]],
  [6, 7, [NODES.leaves4to5, NODES.leaf6, ROOTS[4] as string]],
];

/** RFC 6962 §2.1, as it is written there. */
function rootOf(leaves: readonly string[]): Buffer {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return Buffer.from(leafHash(leaves[0] as string), 'hex');
  const split = splitOf(leaves.length);
  return nodeHash(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

function treeOf(count: number): MerkleTree {
  const tree = new MerkleTree();
  for (let index = 0; index < count; index++) tree.append(leafHash(String(index)));
  return tree;
}

const hexes = async (tree: MerkleTree, ranges: readonly (readonly [number, number])[]): Promise<string[]> =>
  (await rootsOfRanges(ranges, async (keys) => keys.map((key) => tree.node(key)))).map((root) =>
    root.toString('hex'),
  );

describe('the Merkle tree', () => {
  it('has the roots of RFC 6962', () => {
    const tree = new MerkleTree();
    expect(tree.root().toString('hex')).toBe(ROOTS[0]);
    for (const [index, leaf] of LEAVES.entries()) {
      tree.append(leafHash(leaf));
      expect(tree.root().toString('hex')).toBe(ROOTS[index + 1]);
      expect(rootOf(LEAVES.slice(0, index + 1)).toString('hex')).toBe(ROOTS[index + 1]);
    }
    for (const [size, root] of ROOTS.entries()) expect(tree.root(size).toString('hex')).toBe(root);
  });

  it('makes the proofs that other implementations make', async () => {
    const tree = new MerkleTree();
    for (const leaf of LEAVES) tree.append(leafHash(leaf));
    for (const [index, size, path] of INCLUSIONS) {
      expect(await hexes(tree, inclusionRanges(index, size))).toEqual(path);
      const proof = { index, size, leaf: leafHash(LEAVES[index] as string), path };
      expect(verifyInclusion(proof, ROOTS[size] as string)).toBe(true);
    }
    for (const [from, to, path] of CONSISTENCIES) {
      expect(await hexes(tree, consistencyRanges(from, to))).toEqual(path);
      expect(verifyConsistency({ from, to, path }, ROOTS[from] as string, ROOTS[to] as string)).toBe(true);
    }
  });

  it('agrees with the recursive definition at every size', () => {
    const tree = new MerkleTree();
    const leaves: string[] = [];
    for (let index = 0; index < 300; index++) {
      leaves.push(String(index));
      tree.append(leafHash(String(index)));
      expect(tree.root().equals(rootOf(leaves))).toBe(true);
    }
  });

  it('lays a whole tree out so that each node is found by its position', () => {
    const tree = treeOf(64);
    const bytes = tree.toBuffer();
    expect(bytes.length).toBe(127 * 32);
    for (let level = 0; level <= 6; level++) {
      for (let index = 0; index < 64 >> level; index++) {
        const place = positionOf({ level, index }, 64) * 32;
        expect(bytes.subarray(place, place + 32).equals(tree.node({ level, index }))).toBe(true);
      }
    }
  });

  it('proves every entry of every size, and nothing else', async () => {
    const tree = treeOf(70);
    for (let size = 1; size <= 70; size++) {
      const root = tree.root(size).toString('hex');
      for (let index = 0; index < size; index++) {
        const path = await hexes(tree, inclusionRanges(index, size));
        const leaf = leafHash(String(index));
        const proof = { index, size, leaf, path };
        expect(verifyInclusion(proof, root)).toBe(true);
        if (size > 1) {
          expect(verifyInclusion({ ...proof, index: (index + 1) % size }, root)).toBe(false);
          expect(verifyInclusion({ ...proof, path: path.slice(1) }, root)).toBe(false);
        }
        expect(verifyInclusion({ ...proof, path: [...path, leaf] }, root)).toBe(false);
        expect(verifyInclusion({ ...proof, leaf: leafHash('x') }, root)).toBe(false);
      }
    }
  });

  it('proves that every log begins with every shorter one, and with no other', async () => {
    const tree = treeOf(70);
    for (let to = 0; to <= 70; to++) {
      for (let from = 0; from <= to; from++) {
        const path = await hexes(tree, consistencyRanges(from, to));
        const [fromRoot, toRoot] = [tree.root(from).toString('hex'), tree.root(to).toString('hex')];
        expect(verifyConsistency({ from, to, path }, fromRoot, toRoot), `${from} ${to}`).toBe(true);
        const other = leafHash('other');
        expect(verifyConsistency({ from, to, path }, other, toRoot)).toBe(false);
        // Every log begins with the empty one.
        if (from === 0) continue;
        expect(verifyConsistency({ from, to, path }, fromRoot, other)).toBe(false);
        expect(verifyConsistency({ from, to, path: [...path, other] }, fromRoot, toRoot)).toBe(false);
      }
    }
  });

  it('refuses proofs that are not even of their form, without throwing', () => {
    const hash = '0'.repeat(64);
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (index, path) => {
        const proof = { index, size: 5, leaf: hash, path: Array.isArray(path) ? path : [path] };
        expect(verifyInclusion(proof as never, hash)).toBe(false);
        expect(
          verifyConsistency({ from: index, to: 5, path: proof.path } as never, hash, hash) && index !== 5,
        ).toBe(false);
      }),
    );
  });
});
