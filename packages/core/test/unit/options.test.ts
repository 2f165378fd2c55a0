import { expect, describe as group, test } from 'vitest';
import { describe, type OptionReader, optionReader } from '../../src/index.ts';

type Read = (read: OptionReader) => unknown;

/** What went wrong, as `class: text`. */
function failure(options: unknown, read: Read): string {
  try {
    read(optionReader('make', options));
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return 'nothing';
}

group('optionReader', () => {
  test.each([null, 1, 'x', true, [], () => {}])('refuses options that are %o', (options) => {
    expect(() => optionReader('make', options)).toThrow(TypeError);
    expect(() => optionReader('make', options)).toThrow(
      `make: options must be an object, got ${describe(options)}`,
    );
  });

  test('takes absent options as none given', () => {
    const read = optionReader('make', undefined);
    expect(read.number('ms', 7)).toBe(7);
    expect(() => read.end()).not.toThrow();
  });

  const defaults: [string, Read, unknown][] = [
    ['number', (read) => read.number('x', 5), 5],
    ['integer', (read) => read.integer('x', 5), 5],
    ['boolean', (read) => read.boolean('x', true), true],
    ['string', (read) => read.string('x', 'a'), 'a'],
    ['oneOf', (read) => read.oneOf('x', ['a', 'b'], 'b'), 'b'],
    ['function', (read) => read.function<unknown>('x', undefined), undefined],
    ['object', (read) => read.object<unknown>('x', undefined), undefined],
    ['any', (read) => read.any('x'), undefined],
  ];
  test.each(defaults)('%s gives the default for absent and for undefined', (_, read, expected) => {
    expect(read(optionReader('make', {}))).toBe(expected);
    expect(read(optionReader('make', { x: undefined }))).toBe(expected);
  });

  const values: [Read, unknown][] = [
    [(read) => read.number('x', 5), 0],
    [(read) => read.number('x', 5), -0.5],
    [(read) => read.number('x', 5, { min: 0 }), Number.POSITIVE_INFINITY],
    [(read) => read.number('x', 5, { min: 1, max: 2 }), 1],
    [(read) => read.number('x', 5, { min: 1, max: 2 }), 2],
    [(read) => read.integer('x', 5), 0],
    [(read) => read.integer('x', 5), Number.MAX_SAFE_INTEGER],
    [(read) => read.integer('x', 5, { max: Number.POSITIVE_INFINITY }), Number.POSITIVE_INFINITY],
    [(read) => read.boolean('x', true), false],
    [(read) => read.string('x', 'a'), 'b'],
    [(read) => read.oneOf('x', [false, 1], 1), false],
    [(read) => read.any('x'), null],
  ];
  test.each(values)('a given value is a value, falsy ones included (%#)', (read, value) => {
    expect(read(optionReader('make', { x: value }))).toBe(value);
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const wrong: [unknown, Read, string][] = [
    ['5', (read) => read.number('ms', 1), `TypeError: make: option 'ms' must be a number, got "5"`],
    [Number.NaN, (read) => read.number('ms', 1), `TypeError: make: option 'ms' must be a number, got NaN`],
    [null, (read) => read.number('ms', 1), `TypeError: make: option 'ms' must be a number, got null`],
    [5n, (read) => read.number('ms', 1), `TypeError: make: option 'ms' must be a number, got 5n`],
    [
      -1,
      (read) => read.number('ms', 1, { min: 0 }),
      `RangeError: make: option 'ms' must be a number of at least 0, got -1`,
    ],
    [
      3,
      (read) => read.number('ms', 1, { max: 2 }),
      `RangeError: make: option 'ms' must be a number of at most 2, got 3`,
    ],
    [
      3,
      (read) => read.number('ms', 1, { min: 0, max: 2 }),
      `RangeError: make: option 'ms' must be a number from 0 to 2, got 3`,
    ],
    [1.5, (read) => read.integer('ms', 1), `RangeError: make: option 'ms' must be a whole number, got 1.5`],
    [
      2 ** 53,
      (read) => read.integer('ms', 1),
      `RangeError: make: option 'ms' must be a whole number, got ${2 ** 53}`,
    ],
    [
      Number.POSITIVE_INFINITY,
      (read) => read.integer('ms', 1, { min: 1 }),
      `RangeError: make: option 'ms' must be a whole number of at least 1, got Infinity`,
    ],
    ['1', (read) => read.integer('ms', 1), `TypeError: make: option 'ms' must be a whole number, got "1"`],
    [0, (read) => read.boolean('ms', true), `TypeError: make: option 'ms' must be true or false, got 0`],
    [
      Symbol('s'),
      (read) => read.string('ms', 'a'),
      `TypeError: make: option 'ms' must be a string, got a symbol`,
    ],
    [
      '',
      (read) => read.string('ms', 'a'),
      `RangeError: make: option 'ms' must be a string that is not empty, got ""`,
    ],
    [
      'c',
      (read) => read.oneOf('ms', ['a', 'b'], 'a'),
      `TypeError: make: option 'ms' must be one of "a", "b", got "c"`,
    ],
    [
      {},
      (read) => read.function('ms', () => {}),
      `TypeError: make: option 'ms' must be a function, got an object`,
    ],
    [null, (read) => read.object('ms', {}), `TypeError: make: option 'ms' must be an object, got null`],
    [1, (read) => read.object('ms', {}), `TypeError: make: option 'ms' must be an object, got 1`],
    [
      { now() {} },
      (read) => read.object('ms', {}, ['now', 'setTimeout']),
      `TypeError: make: option 'ms' must be an object with the method setTimeout(), got an object`,
    ],
    [
      circular,
      (read) => read.number('ms', 1),
      `TypeError: make: option 'ms' must be a number, got an object`,
    ],
  ];
  test.each(wrong)(
    'refuses %o by name, with what was expected and what came (%#)',
    (value, read, message) => {
      expect(failure({ ms: value }, read)).toBe(message);
    },
  );

  test('object takes a function, and one whose methods are inherited', () => {
    class Clock {
      now() {}
    }
    const clock = new Clock();
    const callable = () => {};
    expect(optionReader('make', { clock }).object('clock', undefined, ['now'])).toBe(clock);
    expect(optionReader('make', { callable }).object('callable', undefined)).toBe(callable);
  });

  test('end refuses a name that nobody asked for, and tells the known ones in order', () => {
    const message = failure({ timeutMs: 1 }, (read) => {
      read.number('timeoutMs', 1);
      read.boolean('enabled', false);
      read.end();
    });
    expect(message).toBe("TypeError: make: unknown option 'timeutMs'; known are enabled, timeoutMs");
  });

  test('end refuses an unknown name even when its value is undefined', () => {
    expect(failure({ typo: undefined }, (read) => read.end())).toContain("unknown option 'typo'");
  });
});

group('describe', () => {
  test.each([
    ['a "b"', '"a \\"b\\""'],
    ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
    [-0, '0'],
    [true, 'true'],
    [undefined, 'undefined'],
    [null, 'null'],
    [[1], 'an array'],
    [{ toString: () => 'secret' }, 'an object'],
    [() => {}, 'a function'],
    [10n, '10n'],
    [Symbol('token'), 'a symbol'],
  ])('says %o in short', (value, expected) => {
    expect(describe(value)).toBe(expected);
  });

  test("never calls the value's own code", () => {
    const trap = new Proxy(
      {},
      {
        get() {
          throw new Error('called');
        },
      },
    );
    expect(describe(trap)).toBe('an object');
  });
});
