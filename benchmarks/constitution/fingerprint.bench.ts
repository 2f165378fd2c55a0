import { strict as assert } from 'node:assert';
import { createHash, hash } from 'node:crypto';
import { defineSuite } from '../harness/index.ts';
import { documentOf, obviouslyCanonical } from './documents.ts';

const documents = Array.from({ length: 16 }, (_, seed) => documentOf(seed));
const texts = documents.map(obviouslyCanonical);

function caseOf(digest: (index: number) => string) {
  return {
    run: (index: number) => digest(index & 15),
    check: (found: string, index: number) =>
      assert.equal(
        found,
        createHash('sha256')
          .update(texts[index & 15] as string)
          .digest('hex'),
      ),
  };
}

export default defineSuite({
  name: 'fingerprint',
  title: 'The fingerprint of a 1 KB object under jcs-v1',
  kind: 'micro',
  parameters: { bytes: texts[0]?.length },
  contenders: {
    'SHA-256 of the text': {
      role: 'limit',
      note: 'crypto.hash, made canonical beforehand',
      setup: () => caseOf((index) => hash('sha256', texts[index] as string, 'hex')),
    },
    'canonicalize + SHA-256': {
      role: 'peer',
      library: 'canonicalize',
      async setup() {
        const { default: canonicalize } = await import('canonicalize');
        return caseOf((index) => hash('sha256', canonicalize(documents[index]) as string, 'hex'));
      },
    },
    'json-canonicalize + SHA-256': {
      role: 'peer',
      library: 'json-canonicalize',
      async setup() {
        const { canonicalize } = await import('json-canonicalize');
        return caseOf((index) => hash('sha256', canonicalize(documents[index]), 'hex'));
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup() {
        const { fingerprint } = await import('@hotpath/constitution');
        return caseOf((index) => fingerprint(documents[index], { profile: 'jcs-v1' }).digest);
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: 4_500 }],
});
