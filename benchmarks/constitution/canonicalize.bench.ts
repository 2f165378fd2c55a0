import { strict as assert } from 'node:assert';
import { defineSuite } from '../harness/index.ts';
import { documentOf, obviouslyCanonical } from './documents.ts';

const documents = Array.from({ length: 16 }, (_, seed) => documentOf(seed));

/** All but the plain `JSON.stringify` sort keys. */
function caseOf(canonicalize: (value: unknown) => string | undefined, expect = obviouslyCanonical) {
  return {
    run: (index: number) => canonicalize(documents[index & 15]),
    check: (text: string, index: number) => assert.equal(text, expect(documents[index & 15])),
  };
}

export default defineSuite({
  name: 'canonicalize',
  title: 'Canonical JSON of a 1 KB object',
  kind: 'micro',
  parameters: { bytes: JSON.stringify(documents[0]).length },
  contenders: {
    nothing: {
      role: 'baseline',
      setup: () => ({
        run: (index) => documents[index & 15],
        check: (one) => assert.equal(one.active, one.id % 2 === 0),
      }),
    },
    'JSON.stringify': {
      role: 'limit',
      note: 'not canonical',
      setup: () => caseOf(JSON.stringify, JSON.stringify),
    },
    canonicalize: {
      role: 'peer',
      library: 'canonicalize',
      async setup() {
        const { default: canonicalize } = await import('canonicalize');
        return caseOf(canonicalize);
      },
    },
    'json-canonicalize': {
      role: 'peer',
      library: 'json-canonicalize',
      async setup() {
        const { canonicalize } = await import('json-canonicalize');
        return caseOf(canonicalize);
      },
    },
    'safe-stable-stringify': {
      role: 'peer',
      library: 'safe-stable-stringify',
      note: 'sorts keys, but is not RFC 8785',
      async setup() {
        const { default: stringify } = await import('safe-stable-stringify');
        return caseOf((value) => stringify(value));
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup() {
        const { canonicalize } = await import('@hotpath/constitution');
        return caseOf(canonicalize);
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: 3_600 }],
});
