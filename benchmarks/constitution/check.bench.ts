import { strict as assert } from 'node:assert';
import { timingSafeEqual } from 'node:crypto';
import { defineSuite } from '../harness/index.ts';

const HASH = 'cdd01ef066bc6cf2';

/** As many strings of the same text, none of them the constant itself: what comes off a socket is never that. */
function received(count: number): string[] {
  return Array.from({ length: count }, () => Buffer.from(HASH).toString('latin1'));
}

/** As Node hands them to a request handler. */
function receivedHeaders(count: number): Record<string, string>[] {
  return received(count).map((hash) => ({
    host: 'policies.example',
    connection: 'keep-alive',
    accept: 'application/json',
    'user-agent': 'a client of ours',
    'x-constitutional-hash': hash,
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  }));
}

const check = defineSuite({
  name: 'check',
  title: 'Checking a hash that is in force',
  kind: 'micro',
  contenders: {
    nothing: {
      role: 'baseline',
      setup() {
        const hashes = received(64);
        return { run: (index) => hashes[index & 63], check: (hash) => assert.equal(hash, HASH) };
      },
    },
    '===': {
      role: 'limit',
      setup() {
        const hashes = received(64);
        return { run: (index) => hashes[index & 63] === HASH, check: (same) => assert.equal(same, true) };
      },
    },
    timingSafeEqual: {
      role: 'peer',
      note: 'from strings, in constant time',
      setup() {
        const hashes = received(64);
        const expected = Buffer.from(HASH);
        return {
          run: (index) => timingSafeEqual(Buffer.from(hashes[index & 63] as string), expected),
          check: (same) => assert.equal(same, true),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup() {
        const { createConstitution } = await import('@hotpath/constitution');
        const constitution = createConstitution({ active: HASH });
        const hashes = received(64);
        return {
          run: (index) => constitution.check(hashes[index & 63]),
          check(result) {
            assert.equal(result, 'ok');
            assert.equal(constitution.check('0000000000000000'), 'unknown');
          },
          close: () => constitution.close(),
        };
      },
    },
  },
  goals: [
    { figure: 'timeNs', atMost: 8 },
    { figure: 'bytesPerOp', atMost: 0.4 },
  ],
});

const checkHeaders = defineSuite({
  name: 'check-headers',
  title: 'Checking the header of a request',
  kind: 'micro',
  contenders: {
    nothing: {
      role: 'baseline',
      setup() {
        const headers = receivedHeaders(64);
        return {
          run: (index) => headers[index & 63],
          check: (one) => assert.equal(Object.keys(one).length, 6),
        };
      },
    },
    '=== on the property': {
      role: 'limit',
      setup() {
        const headers = receivedHeaders(64);
        return {
          run: (index) => headers[index & 63]?.['x-constitutional-hash'] === HASH,
          check: (same) => assert.equal(same, true),
        };
      },
    },
    hotpath: {
      role: 'ours',
      library: '@hotpath/constitution',
      async setup() {
        const { createConstitution } = await import('@hotpath/constitution');
        const constitution = createConstitution({ active: HASH });
        const headers = receivedHeaders(64);
        return {
          run: (index) => constitution.checkHeaders(headers[index & 63] as Record<string, string>),
          check(result) {
            assert.equal(result, 'ok');
            assert.equal(constitution.checkHeaders({}), 'missing');
          },
          close: () => constitution.close(),
        };
      },
    },
  },
  goals: [{ figure: 'timeNs', atMost: 30 }],
});

export default [check, checkHeaders];
