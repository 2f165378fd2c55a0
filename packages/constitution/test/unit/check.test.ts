import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CheckResult,
  ConstitutionError,
  createConstitution,
  DriftError,
  fingerprint,
  type Refusal,
  refusalBody,
} from '../../src/index.ts';

const HASH = 'cdd01ef066bc6cf2';
const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
const RETIRED = '1b33abb9a724f5dd';
const COMING = '0123456789abcdef';

const make = (): ReturnType<typeof createConstitution> =>
  createConstitution({
    active: HASH,
    accepted: [
      { fingerprint: RETIRED, until: '2020-01-01T00:00:00Z' },
      { fingerprint: COMING, from: '2999-01-01', until: 'never' },
    ],
  });

const CASES: readonly (readonly [name: string, value: unknown, result: CheckResult])[] = [
  ['the active hash', HASH, 'ok'],
  ['the active hash in a new string', Buffer.from(HASH).toString(), 'ok'],
  ['nothing', undefined, 'missing'],
  ['null', null, 'missing'],
  ['an empty text', '', 'malformed'],
  ['upper case', HASH.toUpperCase(), 'malformed'],
  ['mixed case', 'Cdd01ef066bc6cf2', 'malformed'],
  ['a space before', ` ${HASH}`, 'malformed'],
  ['a space behind', `${HASH} `, 'malformed'],
  ['a line end behind', `${HASH}\n`, 'malformed'],
  ['a repeated header', `${HASH}, ${HASH}`, 'malformed'],
  ['an array', [HASH], 'malformed'],
  ['a number', 0xcdd01ef0, 'malformed'],
  ['an object with toString', { toString: () => HASH, valueOf: () => HASH }, 'malformed'],
  ['a boxed string', new String(HASH), 'malformed'],
  ['a buffer', Buffer.from(HASH), 'malformed'],
  ['what is not hex', 'cdd01ef066bc6cfg', 'malformed'],
  ['what is not ASCII', 'cdd01ef066bc6cf２', 'malformed'],
  ['one digit less', HASH.slice(1), 'malformed'],
  ['one digit more', `${HASH}0`, 'malformed'],
  ['the whole fingerprint', WHOLE, 'malformed'],
  ['a text that contains it', `x${HASH}x`, 'malformed'],
  ['a symbol', Symbol(HASH), 'malformed'],
  ['a name of Object.prototype', 'toString', 'malformed'],
  ['another hash', 'ffffffffffffffff', 'unknown'],
  ['a retired hash', RETIRED, 'retired'],
  ['a hash whose time has not come', COMING, 'not-yet-valid'],
];

afterEach(() => {
  for (const name of ['x-constitutional-hash', 'constitutional_hash'])
    Reflect.deleteProperty(Object.prototype, name);
});

describe('check', () => {
  it.each(CASES)('finds %s to be what it is', (_, value, result) => {
    const constitution = make();
    expect(constitution.check(value)).toBe(result);
    expect(constitution.checkMessage({ constitutional_hash: value })).toBe(result);
    expect(constitution.checkHeaders({ 'x-constitutional-hash': value })).toBe(result);
    expect(constitution.checkMany([value, HASH])).toEqual([result, 'ok']);
    constitution.close();
  });

  it('never accepts any other text', () => {
    const constitution = make();
    fc.assert(
      fc.property(
        fc.anything(),
        fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF '), maxLength: 18 }),
        (any, text) => {
          expect(constitution.check(any)).not.toBe('ok');
          if (text !== HASH) expect(constitution.check(text)).not.toBe('ok');
        },
      ),
      { numRuns: 5_000 },
    );
    constitution.close();
  });

  it('counts every result, and publishes each refusal', () => {
    const constitution = make();
    const seen: unknown[] = [];
    const listen = (event: unknown): void => {
      seen.push(event);
    };
    subscribe('hotpath:constitution:refused', listen);
    for (const value of [HASH, HASH, undefined, 'x', 'f'.repeat(16), RETIRED, COMING])
      constitution.check(value);
    unsubscribe('hotpath:constitution:refused', listen);
    expect(constitution.stats()).toEqual({
      ok: 2,
      missing: 1,
      malformed: 1,
      unknown: 1,
      retired: 1,
      notYetValid: 1,
      rotations: 0,
    });
    expect(seen).toEqual(
      ['missing', 'malformed', 'unknown', 'retired', 'not-yet-valid'].map((result) => ({
        result,
        mode: 'enforce',
      })),
    );
    constitution.close();
  });
});

describe('checkHeaders', () => {
  const constitution = createConstitution({ active: WHOLE });

  it('reads Node headers, Headers and raw lists', () => {
    expect(constitution.checkHeaders({ host: 'a', 'x-constitutional-hash': HASH })).toBe('ok');
    expect(constitution.checkHeaders(new Headers({ 'X-Constitutional-Hash': HASH }))).toBe('ok');
    expect(constitution.checkHeaders(['Host', 'a', 'X-Constitutional-Hash', HASH])).toBe('ok');
    for (const none of [{}, undefined, null, [], new Headers()])
      expect(constitution.checkHeaders(none)).toBe('missing');
  });

  it('refuses a repeated header in each of them', () => {
    const name = 'x-constitutional-hash';
    expect(constitution.checkHeaders({ [name]: [HASH, HASH] })).toBe('malformed');
    expect(constitution.checkHeaders([name, HASH, 'X-Constitutional-Hash', HASH])).toBe('malformed');
    const doubled = new Headers({ [name]: HASH });
    doubled.append(name, HASH);
    expect(constitution.checkHeaders(doubled)).toBe('malformed');
  });

  it('does not see what is inherited', () => {
    expect(constitution.checkHeaders(Object.create({ 'x-constitutional-hash': HASH }))).toBe('missing');
    Object.defineProperty(Object.prototype, 'x-constitutional-hash', { value: HASH, configurable: true });
    expect(constitution.checkHeaders({ host: 'a' })).toBe('missing');
    expect(constitution.checkHeaders([])).toBe('missing');
  });

  it('wants the whole fingerprint, where it came, to be of the same version', () => {
    const other = String(fingerprint('another document'));
    const both = createConstitution({ active: WHOLE, accepted: [{ fingerprint: other, until: 'never' }] });
    const check = (whole: unknown): CheckResult =>
      both.checkHeaders({ 'x-constitutional-hash': HASH, 'constitution-fingerprint': whole });
    expect(check(WHOLE)).toBe('ok');
    expect(check(other)).toBe('unknown');
    expect(check(`${WHOLE.slice(0, -1)}e`)).toBe('unknown');
    expect(check(WHOLE.toUpperCase())).toBe('malformed');
    expect(check([WHOLE])).toBe('malformed');
    expect(check(`${WHOLE}, ${WHOLE}`)).toBe('malformed');
    expect(both.checkHeaders({ 'constitution-fingerprint': WHOLE })).toBe('missing');
    both.close();
  });
});

describe('checkFingerprint', () => {
  it('compares the whole where it is known, and the short form where not', () => {
    const forged = `${WHOLE.slice(0, -1)}e`;
    const knowing = createConstitution({ active: WHOLE });
    expect([WHOLE, forged, HASH, undefined].map((value) => knowing.checkFingerprint(value))).toEqual([
      'ok',
      'unknown',
      'malformed',
      'missing',
    ]);
    expect(createConstitution({ active: HASH }).checkFingerprint(WHOLE)).toBe('ok');
  });
});

describe('checkMessage', () => {
  const constitution = createConstitution({ active: HASH });

  it('counts a hash only at the named place', () => {
    const elsewhere = { note: HASH, meta: { constitutional_hash: HASH }, list: [HASH] };
    expect(constitution.checkMessage(elsewhere)).toBe('missing');
    expect(constitution.checkMessage(elsewhere, 'meta.constitutional_hash')).toBe('ok');
    expect(constitution.checkMessage(elsewhere, ['meta', 'constitutional_hash'])).toBe('ok');
    expect(constitution.checkMessage({ 'meta.constitutional_hash': HASH }, 'meta.constitutional_hash')).toBe(
      'missing',
    );
    expect(constitution.checkMessage({ 'a.b': HASH }, ['a.b'])).toBe('ok');
    expect(constitution.checkMessage({ constitutional_hash: { constitutional_hash: HASH } })).toBe(
      'malformed',
    );
  });

  it('leads through objects alone', () => {
    expect(constitution.checkMessage({ list: [HASH] }, 'list.0')).toBe('malformed');
    expect(constitution.checkMessage({ a: HASH }, 'a.length')).toBe('malformed');
    expect(constitution.checkMessage({ a: null }, 'a.b')).toBe('malformed');
    expect(constitution.checkMessage({}, 'a.b')).toBe('missing');
    expect(constitution.checkMessage([HASH])).toBe('malformed');
    expect(constitution.checkMessage(`{"constitutional_hash":"${HASH}"}`)).toBe('malformed');
    expect(constitution.checkMessage(undefined)).toBe('missing');
    expect(constitution.checkMessage(null)).toBe('malformed');
  });

  it('does not see what is inherited', () => {
    Object.defineProperty(Object.prototype, 'constitutional_hash', { value: HASH, configurable: true });
    expect(constitution.checkMessage({})).toBe('missing');
    expect(constitution.checkMessage(JSON.parse(`{"__proto__":{"constitutional_hash":"${HASH}"}}`))).toBe(
      'missing',
    );
    expect(constitution.checkMessage(Object.create({ constitutional_hash: HASH }))).toBe('missing');
  });
});

describe('assert', () => {
  it('throws an error that tells the result and never the expected value', () => {
    const constitution = make();
    const codes = CASES.filter(([, , result]) => result !== 'ok').map(([, value, result]) => {
      let error: unknown;
      try {
        constitution.assert(value);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(ConstitutionError);
      const { code, message, family, stack } = error as ConstitutionError;
      expect((error as ConstitutionError).result).toBe(result);
      expect(family).toBe('governance');
      for (const told of [
        message,
        stack,
        JSON.stringify(error),
        JSON.stringify(refusalBody(result as Refusal)),
      ]) {
        expect(told).not.toContain(HASH);
      }
      return code;
    });
    expect(new Set(codes)).toEqual(
      new Set([
        'HOTPATH_CONSTITUTION_MISSING',
        'HOTPATH_CONSTITUTION_MALFORMED',
        'HOTPATH_CONSTITUTION_UNKNOWN',
        'HOTPATH_CONSTITUTION_RETIRED',
        'HOTPATH_CONSTITUTION_NOT_YET_VALID',
      ]),
    );
    expect(() => constitution.assert(HASH)).not.toThrow();
    constitution.close();
  });

  it.each(['warn', 'shadow'] as const)('only counts in mode %s', (mode) => {
    const constitution = createConstitution({ active: HASH, mode });
    expect(() => constitution.assert('nonsense')).not.toThrow();
    expect(constitution.check('nonsense')).toBe('malformed');
    expect(constitution.stats().malformed).toBe(2);
  });
});

describe('stamp', () => {
  it('sets both headers, once, whatever their case', () => {
    const constitution = createConstitution({ active: WHOLE });
    const headers = { 'X-Constitutional-Hash': 'old', accept: '*/*' };
    expect(constitution.stamp(headers)).toBe(headers);
    expect(headers).toEqual({
      accept: '*/*',
      'x-constitutional-hash': HASH,
      'constitution-fingerprint': WHOLE,
    });
    expect([...constitution.stamp(new Headers({ 'x-constitutional-hash': 'old' }))]).toEqual([
      ['constitution-fingerprint', WHOLE],
      ['x-constitutional-hash', HASH],
    ]);
    expect(createConstitution({ active: HASH }).stamp({})).toEqual({ 'x-constitutional-hash': HASH });
  });

  it('puts the hash at a place of a message, where checkMessage finds it', () => {
    const constitution = createConstitution({ active: HASH });
    const message = { meta: { id: 1 } };
    constitution.stamp(message, 'meta.hash');
    expect(message).toEqual({ meta: { id: 1, hash: HASH } });
    expect(constitution.checkMessage(constitution.stamp({}, 'a.b.c'), 'a.b.c')).toBe('ok');
    expect(() => constitution.stamp({ a: [] }, 'a.b')).toThrow("the message has no object at 'a'");
    const own = constitution.stamp({}, ['__proto__', 'x']);
    expect(Object.hasOwn(own, '__proto__')).toBe(true);
    expect(Object.getPrototypeOf(own)).toBe(Object.prototype);
  });

  it('names caches and database sessions', () => {
    const constitution = createConstitution({ active: HASH });
    expect(constitution.cacheKey('policy:7')).toBe(`${HASH}:policy:7`);
    expect(constitution.applicationName('policies')).toBe(`policies/${HASH}`);
    expect(constitution.applicationName('o'.repeat(1_000_000))).toBe(`${'o'.repeat(46)}/${HASH}`);
    expect(constitution.applicationName('a\0ö😀\n')).toBe(`a????/${HASH}`);
  });
});

describe('createConstitution', () => {
  it('starts with the document that was pinned, and refuses any other', () => {
    const content = 'Article 1\nAll are heard.  \n';
    const whole = fingerprint(content, { profile: 'text-v1' });
    expect(createConstitution({ active: whole, document: { content } }).active).toBe(whole.short);
    expect(
      createConstitution({ active: whole.short, document: { content, profile: 'text-v1' } }).active,
    ).toBe(whole.short);
    expect(() => createConstitution({ active: whole, document: { content: `${content}x` } })).toThrow(
      DriftError,
    );
    expect(() => createConstitution({ active: whole.short, document: { content } })).toThrow(
      expect.objectContaining({ code: 'HOTPATH_CONSTITUTION_DRIFT' }),
    );
    expect(() => createConstitution({ active: whole, document: { path: '/nowhere/at/all' } })).toThrow(
      expect.objectContaining({ code: 'HOTPATH_CONSTITUTION_DOCUMENT' }),
    );
  });

  it.each([
    [{}, "option 'active' must be 16 lower-case hex digits or a fingerprint, got undefined"],
    [{ active: HASH.toUpperCase() }, "option 'active' must be"],
    [{ active: HASH, mode: 'off' }, "option 'mode' must be one of"],
    [{ active: HASH, version: 0 }, "option 'version' must be"],
    [{ active: HASH, until: 'soon' }, "option 'until' must be a Date"],
    [{ active: HASH, until: '2026-01-01T00:00:00' }, "option 'until' must be a Date"],
    [{ active: HASH, accepted: {} }, "option 'accepted' must be an array"],
    [{ active: HASH, accepted: [{ fingerprint: RETIRED }] }, 'accepted[0].until must be'],
    [{ active: HASH, accepted: [{ fingerprint: HASH, until: 'never' }] }, 'two versions have the short hash'],
    [
      { active: HASH, accepted: [{ fingerprint: RETIRED, from: 5, until: 5 }] },
      'must be later than accepted[0].from',
    ],
    [
      { active: HASH, accepted: [{ fingerprint: RETIRED, activeFrom: 5, until: 'never' }] },
      "option 'until' is needed, because accepted[0] will take over",
    ],
    [
      {
        active: HASH,
        until: 9,
        accepted: [{ fingerprint: RETIRED, from: 6, activeFrom: 5, until: 'never' }],
      },
      'activeFrom must be between its from and until',
    ],
    [{ active: HASH, accepted: new Array(1_000).fill({}) }, 'must have less than 1000 versions'],
    [
      {
        active: HASH,
        version: 3,
        until: 9,
        accepted: [{ fingerprint: RETIRED, version: 2, activeFrom: 5, until: 'never' }],
      },
      'version 2 would take over from version 3',
    ],
    [{ active: HASH, messageField: '' }, "option 'messageField' must be field names"],
    [{ active: HASH, pinFile: 'a.json' }, "option 'active' can't be combined with option 'pinFile'"],
    [{ active: HASH, document: {} }, "option 'document' needs either path or content"],
    [{ active: HASH, acepted: [] }, "unknown option 'acepted'"],
  ])('refuses wrong options: %#', (options, message) => {
    expect(() => createConstitution(options as never)).toThrow(message);
  });
});
