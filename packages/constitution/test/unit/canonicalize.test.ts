import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { CanonicalJsonError, canonicalize, canonicalizeText } from '../../src/index.ts';
import { type Rfc8785Number, rfc8785Numbers } from './rfc8785-numbers.ts';

/** RFC 8785 written down as plainly as possible. */
function obvious(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(obvious).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${obvious(member)}`).join(',')}}`;
}

function double(hex: string): number {
  return Buffer.from(hex, 'hex').readDoubleBE();
}

/** RFC 8785, appendix B: every row that has a JSON text. */
const NUMBERS: readonly (readonly [hex: string, text: string])[] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
];

/** RFC 8785 §3.2.2 (text) and §3.2.4 (bytes). */
const RFC_TEXT = String.raw`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`;
const RFC_BYTES =
  '7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a' +
  '5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d32375d' +
  '2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d';

/** The test data of the RFC's authors: github.com/cyberphone/json-canonicalization, testdata/input and output. */
const AUTHORS: readonly (readonly [name: string, input: string, output: string])[] = [
  ['arrays', '[56, {"d": true, "10": null, "1": [ ]}]', '[56,{"1":[],"10":null,"d":true}]'],
  [
    'french',
    '{"peach": "This sorting order", "péché": "is wrong according to French", "pêche": "but canonicalization MUST", "sin": "ignore locale"}',
    '{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST","sin":"ignore locale"}',
  ],
  [
    'structures',
    '{"1": {"f": {"f": "hi","F": 5} ,"\\n": 56.0}, "10": { }, "": "empty", "a": { }, "111": [ {"e": "yes","E": "no" } ], "A": { }}',
    '{"":"empty","1":{"\\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
  ],
  ['unicode', '{"Unnormalized Unicode":"A\\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'],
  [
    'weird',
    '{"\\u20ac": "Euro Sign", "\\r": "Carriage Return", "\\u000a": "Newline", "1": "One", "\\u0080": "Control\\u007f", "\\ud83d\\ude02": "Smiley", "\\u00f6": "Latin Small Letter O With Diaeresis", "\\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}',
    '{"\\n":"Newline","\\r":"Carriage Return","1":"One","</script>":"Browser Challenge","\u0080":"Control\u007f","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","\u{1f602}":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
  ],
];

afterEach(() => {
  Reflect.deleteProperty(Object.prototype, 'toJSON');
  Reflect.deleteProperty(Array.prototype, 'toJSON');
});

function problemOf(value: unknown): string {
  try {
    return `no problem: ${canonicalize(value)}`;
  } catch (error) {
    expect(error).toBeInstanceOf(CanonicalJsonError);
    expect((error as CanonicalJsonError).code).toBe('HOTPATH_CANONICAL_JSON');
    return (error as CanonicalJsonError).message;
  }
}

describe('canonicalize', () => {
  it('gives the bytes of the example of RFC 8785', () => {
    expect(Buffer.from(canonicalizeText(RFC_TEXT)).toString('hex')).toBe(RFC_BYTES);
  });

  it.each(AUTHORS)("gives the output of the RFC's authors for %s", (_, input, output) => {
    expect(canonicalizeText(input)).toBe(output);
    expect(canonicalize(JSON.parse(input))).toBe(output);
  });

  it('sorts the keys of the example of RFC 8785 by UTF-16 code units', () => {
    const text = canonicalize({
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\u{1f600}': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    });
    expect([...text.matchAll(/:"([^"]+)"/g)].map(([, name]) => name)).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
  });

  it.each(NUMBERS)('writes the double %s of the number table of RFC 8785 as %s', (hex, text) => {
    expect(canonicalize(double(hex))).toBe(text);
    expect(canonicalize([double(hex)])).toBe(`[${text}]`);
  });

  it.each(['7fffffffffffffff', '7ff0000000000000', 'fff0000000000000'])(
    'refuses the double %s, which the number table of RFC 8785 has no text for',
    (hex) => {
      expect(problemOf({ a: [double(hex)] })).toMatch(/^\$\.a\[0\] is /);
    },
  );

  it.each([
    [1_000, 'be18b62b6f69cdab33a7e0dae0d9cfa869fda80ddc712221570f9f40a5878687'],
    [100_000, '22776e6d4b49fa294a0d0f349268e5c28808fe7e0cb2bcbe28f63894e494d4c7'],
  ])("writes the first %d numbers of the RFC's authors as their checksum demands", (count, checksum) => {
    const lines = createHash('sha256');
    const numbers = rfc8785Numbers();
    for (let line = 0; line < count; line++) {
      const { hex, number } = numbers.next().value as Rfc8785Number;
      lines.update(`${hex},${canonicalize(number)}\n`);
    }
    expect(lines.digest('hex')).toBe(checksum);
  });

  it('agrees with an obvious implementation on 100,000 random values', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }),
      fc.dictionary(
        fc.oneof(
          fc.string({ unit: 'grapheme', maxLength: 4 }),
          fc.nat(30).map(String),
          fc.constant('__proto__'),
        ),
        fc.oneof(
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          fc.constant(-0),
          fc.string({ unit: 'binary', maxLength: 3 }),
        ),
        { maxKeys: 40, noNullPrototype: false },
      ),
    );
    fc.assert(
      fc.property(value, (given) => {
        const text = canonicalize(given);
        expect(text).toBe(obvious(given));
        expect(canonicalize(JSON.parse(text))).toBe(text);
        expect(canonicalizeText(JSON.stringify(given, null, 2))).toBe(text);
      }),
      { numRuns: 100_000 },
    );
  }, 120_000);

  it('takes 100,000 levels of nesting, as a value and as text', () => {
    let value: unknown = 1;
    for (let level = 0; level < 100_000; level++) value = level % 2 === 0 ? [value] : { b: 1, a: value };
    const text = canonicalize(value);
    expect(text.length).toBe(50_000 * 2 + 50_000 * 12 + 1);
    expect(canonicalizeText(text)).toBe(text);
  });

  it('treats __proto__ as a key like any other', () => {
    const value = JSON.parse('{"z":1,"__proto__":{"b":2,"a":1}}');
    expect(canonicalize(value)).toBe('{"__proto__":{"a":1,"b":2},"z":1}');
    expect(canonicalizeText('{"z":1,"__proto__":{"b":2,"a":1}}')).toBe('{"__proto__":{"a":1,"b":2},"z":1}');
  });

  it('sorts keys that look like numbers as texts', () => {
    expect(canonicalize({ 10: 'a', 9: 'b', 1: 'c', '01': 'd', '-1': 'e' })).toBe(
      '{"-1":"e","01":"d","1":"c","10":"a","9":"b"}',
    );
  });

  it('sorts many keys as it sorts few', () => {
    const keys = Array.from({ length: 500 }, (_, index) => `k${(index * 7919) % 500}`);
    const value = Object.fromEntries(keys.map((key) => [key, 1]));
    expect(canonicalize(value)).toBe(obvious(value));
  });

  it('sorts lists of keys that come again, in the same order and in others', () => {
    const names = ['', 'a', 'b', 'B', 'aa', 'ab', 'é', '\u{1f600}', '\ufb33', '__proto__', '7', '10'];
    const lists = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(lists, { minLength: 1, maxLength: 30 }), (objects) => {
        const given = objects.map((keys) =>
          keys.reduce<Record<string, unknown>>((object, key, value) => {
            Object.defineProperty(object, key, { value, enumerable: true });
            return object;
          }, {}),
        );
        expect(canonicalize(given)).toBe(obvious(given));
        expect(canonicalize(given)).toBe(obvious(given));
      }),
      { numRuns: 5_000 },
    );
  });

  it('keeps no key names that are long', () => {
    const script = `
      const { canonicalize } = await import(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)});
      const name = (index, length) => String.fromCharCode(97 + (index % 26)).repeat(length) + index;
      const held = () => {
        // The engine itself lets go of hidden classes only after a few.
        for (let times = 0; times < 8; times++) gc();
        return process.memoryUsage().heapUsed;
      };
      const before = held();
      for (let index = 0; index < 500; index++) {
        const length = 100_000 + index;
        canonicalize({ ['b' + name(index, length)]: 1, ['a' + name(index, length)]: 2 });
      }
      process.stdout.write(String(held() - before));`;
    const bytes = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(Number(bytes)).toBeLessThan(2_000_000);
  });

  it('writes a shared reference each time', () => {
    const shared = { b: [1], a: {} };
    expect(canonicalize([shared, { shared }])).toBe('[{"a":{},"b":[1]},{"shared":{"a":{},"b":[1]}}]');
  });

  it('keeps text about escapes as it is', () => {
    expect(canonicalize(['\\ud800', '\\\\udfff', '\u{1f600}'])).toBe(
      '["\\\\ud800","\\\\\\\\udfff","\u{1f600}"]',
    );
  });

  it('writes what toJSON gives, its keys sorted too', () => {
    const given = { b: new Date(0), a: { toJSON: (key: string) => ({ key, c: 1, b: 2 }) } };
    expect(canonicalize(given)).toBe('{"a":{"b":2,"c":1,"key":"a"},"b":"1970-01-01T00:00:00.000Z"}');
    expect(canonicalize({ toJSON: 'data' })).toBe('{"toJSON":"data"}');
  });

  it('calls the toJSON of an array, at whatever depth', () => {
    const given = Object.assign([1], { toJSON: () => ({ b: 1, a: 2 }) });
    let deep: unknown = given;
    for (let level = 0; level < 100; level++) deep = [deep];
    expect(canonicalize([given])).toBe('[{"a":2,"b":1}]');
    expect(canonicalize(deep)).toBe(`${'['.repeat(100)}{"a":2,"b":1}${']'.repeat(100)}`);
  });

  it('calls a toJSON that is not enumerable, whatever stands beside it', () => {
    const given = Object.defineProperty({ a: 1 }, 'toJSON', { value: () => ({ c: 1, b: 2 }) });
    expect(canonicalize(given)).toBe('{"b":2,"c":1}');
    expect(canonicalize({ x: [given] })).toBe('{"x":[{"b":2,"c":1}]}');
    expect(canonicalize({ 1: given })).toBe('{"1":{"b":2,"c":1}}');
  });

  it('writes names that a frozen Object.prototype has', () => {
    const script = `
      const { canonicalize } = await import(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)});
      Object.freeze(Object.prototype);
      process.stdout.write(canonicalize({ toString: 2, constructor: 1 }));`;
    const text = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(text).toBe('{"constructor":1,"toString":2}');
  });

  it('is not led astray by a polluted prototype', () => {
    const pollute = (prototype: object): void => {
      Object.defineProperty(prototype, 'toJSON', { value: () => 'polluted', configurable: true });
    };
    pollute(Object.prototype);
    expect(canonicalize({ b: [1], a: 2 })).toBe('{"a":2,"b":[1]}');
    pollute(Array.prototype);
    expect(canonicalize({ b: [1], a: 2 })).toBe('{"a":2,"b":[1]}');
  });

  it.each([
    ['a setter', { set() {} }],
    ['a getter', { get: (): string => 'polluted' }],
    ['a getter and a setter', { get: (): string => 'polluted', set() {} }],
    ['a read-only value', { value: 'polluted' }],
    ['a value', { value: 'polluted', writable: true }],
  ])('writes what it was given where a prototype has %s of the same name', (_, descriptor) => {
    const deep = (levels: number): unknown =>
      levels === 0 ? { name: [1, { name: 2 }] } : [deep(levels - 1)];
    for (const prototype of [Object.prototype, Array.prototype]) {
      for (const name of ['name', '0', '1']) {
        const texts: string[] = [];
        let problem: unknown;
        Object.defineProperty(prototype, name, { ...descriptor, configurable: true });
        try {
          texts[2] = canonicalize({ name: [1, { name: 2 }], a: [] });
          texts[3] = canonicalize(deep(70));
          canonicalize(new Array(2));
        } catch (error) {
          problem = error;
        } finally {
          Reflect.deleteProperty(prototype, name);
        }
        expect(texts.slice(2)).toEqual([
          '{"a":[],"name":[1,{"name":2}]}',
          `${'['.repeat(70)}{"name":[1,{"name":2}]}${']'.repeat(70)}`,
        ]);
        expect(problem).toMatchObject({ code: 'HOTPATH_CANONICAL_JSON' });
      }
    }
  });

  it.each([
    ['a lone high surrogate', { a: ['x', '\ud800'] }, '$.a[1] holds a lone surrogate'],
    ['a lone low surrogate', '\udc00', '$ holds a lone surrogate'],
    ['a lone surrogate in a key', [{ 'a\ud800': 1 }], '$[0]["a\\ud800"] holds a lone surrogate'],
    ['NaN', { n: Number.NaN }, '$.n is NaN'],
    ['an infinity', [Number.NEGATIVE_INFINITY], '$[0] is -Infinity'],
    ['a bigint', { 'a b': 1n }, '$["a b"] is 1n'],
    ['undefined', undefined, '$ is undefined'],
    ['undefined in an object', { a: undefined }, '$.a is undefined'],
    ['a hole in an array', new Array(2), '$[0] is undefined'],
    ['a function', { f: () => 1 }, '$.f is a function'],
    ['a symbol', { s: Symbol('s') }, '$.s is a symbol'],
    ['a Map', { m: new Map() }, "$.m is an instance of Map, which JSON can't carry"],
    ['a Set', new Set(), "$ is an instance of Set, which JSON can't carry"],
    ['a typed array', { t: new Uint8Array(2) }, "$.t is an instance of Uint8Array, which JSON can't carry"],
    ['a boxed string', new String('a'), "$ is an instance of String, which JSON can't carry"],
  ])('refuses %s and names its place', (_, value, message) => {
    expect(problemOf(value)).toBe(message);
  });

  it('refuses cycles, near and far', () => {
    const near: Record<string, unknown> = { a: 1 };
    near.self = { near };
    expect(problemOf(near)).toBe('$.self.near contains itself');
    const far: unknown[] = [];
    let end = far;
    for (let level = 0; level < 1_000; level++) {
      const next: unknown[] = [];
      end.push(next, next);
      end = next;
    }
    end.push(far);
    expect(problemOf(far)).toMatch(/contains itself$|…/);
  });
});

describe('canonicalizeText', () => {
  it.each([
    ['{"a":1,"a":1}', 'a', 1],
    ['{"a":1,\n"b":{"x":1,"\\u0078":2}}', 'x', 2],
    ['[{"":1},{"":1, "a" : {} ,\n\n"" : 2}]', '', 3],
    ['{"__proto__":1,"__proto__":2}', '__proto__', 1],
  ])('refuses the repeated key of %s', (text, key, line) => {
    expect(() => canonicalizeText(text)).toThrow(
      `$ has the key ${JSON.stringify(key)} twice in one object (line ${line})`,
    );
  });

  it('allows the same key in different objects, and as a value', () => {
    expect(canonicalizeText('{"a":{"a":"a"},"b":[{"a":1},{"a":":"}]}')).toBe(
      '{"a":{"a":"a"},"b":[{"a":1},{"a":":"}]}',
    );
  });

  it.each(['', '{', '{"a":1,}', "{'a':1}", '01', '[1] 2', '\ufeff{}', 'NaN', '"\n"'])(
    'refuses %j, which is not JSON',
    (text) => {
      expect(() => canonicalizeText(text)).toThrow(CanonicalJsonError);
    },
  );

  it('refuses a number beyond the range of a double', () => {
    expect(() => canonicalizeText('{"a":1e400}')).toThrow('$.a is Infinity');
  });

  it('refuses an escaped lone surrogate', () => {
    expect(() => canonicalizeText('["\\ud83d"]')).toThrow('$[0] holds a lone surrogate');
  });

  it('refuses what is neither text nor bytes, by name', () => {
    expect(() => canonicalizeText({} as never)).toThrow(
      new TypeError('canonicalizeText: the JSON must be a text or bytes, got an object'),
    );
  });

  it('reads UTF-8 bytes, and refuses what is none or begins with a byte order mark', () => {
    expect(canonicalizeText(Buffer.from('{"ö":"€"}'))).toBe('{"ö":"€"}');
    expect(() => canonicalizeText(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('$ is not UTF-8');
    expect(() => canonicalizeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31))).toThrow('$ is not a JSON text');
  });
});
