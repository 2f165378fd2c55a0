/** The range that a number option must lie in; both ends belong to it. */
export interface OptionRange {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

/**
 * Reads the options object of `owner` field by field, and refuses what is wrong by name.
 *
 * Absent and `undefined` mean the default; `0`, `''`, `false` and `null` are values. Each method
 * returns the option's value or the given default. {@link OptionReader.end} refuses options that
 * were never asked for, so that a misspelt name can't pass unnoticed.
 */
export interface OptionReader {
  /** @throws TypeError when it is not a number or `NaN`; RangeError when it is out of range. Infinity needs an open range. */
  number<Default>(name: string, fallback: Default, range?: OptionRange): number | Default;
  /** As `number`, and a safe integer. */
  integer<Default>(name: string, fallback: Default, range?: OptionRange): number | Default;
  /** @throws TypeError when it is not a boolean. */
  boolean<Default>(name: string, fallback: Default): boolean | Default;
  /** @throws TypeError when it is not a string; RangeError when it is empty. */
  string<Default>(name: string, fallback: Default): string | Default;
  /** @throws TypeError when it is none of `choices`. */
  oneOf<const Choice, Default>(name: string, choices: readonly Choice[], fallback: Default): Choice | Default;
  /** @throws TypeError when it is not a function. */
  function<Fn>(name: string, fallback: Fn): Fn;
  /** @throws TypeError when it is not an object, or lacks one of the named methods. */
  object<T>(name: string, fallback: T, methods?: readonly string[]): T;
  /** The option as it is; `undefined` when absent. */
  any(name: string): unknown;
  /** @throws TypeError when an option was given that nobody asked for. */
  end(): void;
}

/** Options with every default in place: nothing is absent, and nothing `undefined`. */
export type ResolvedOptions<Options> = {
  readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined>;
};

/**
 * Makes a reader of the options object given to `owner` (the name of the function that users call).
 *
 * @example
 * const read = optionReader('createThing', { timeoutMs: 0 });
 * const timeoutMs = read.number('timeoutMs', 1_000, { min: 0 });
 * read.end();
 * use(timeoutMs);
 *
 * @throws TypeError when `options` is neither an object nor absent.
 */
export function optionReader(owner: string, options: unknown): OptionReader {
  if (options !== undefined && (typeof options !== 'object' || options === null || Array.isArray(options))) {
    throw new TypeError(`${owner}: options must be an object, got ${describe(options)}`);
  }
  const given = (options ?? {}) as Record<string, unknown>;
  const asked = new Set<string>();
  const take = (name: string): unknown => {
    asked.add(name);
    return given[name];
  };
  const wrong = (name: string, expected: string, value: unknown): never => {
    throw new TypeError(`${owner}: option '${name}' must be ${expected}, got ${describe(value)}`);
  };
  const numeric = <Default>(
    name: string,
    fallback: Default,
    { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: OptionRange,
    kind: 'a number' | 'a whole number',
  ): number | Default => {
    const value = take(name);
    if (value === undefined) return fallback;
    if (typeof value !== 'number' || Number.isNaN(value)) wrong(name, kind, value);
    const number = value as number;
    if (kind === 'a whole number' && Number.isFinite(number) && !Number.isSafeInteger(number)) {
      throw new RangeError(`${owner}: option '${name}' must be ${kind}, got ${number}`);
    }
    if (number < min || number > max) {
      throw new RangeError(
        `${owner}: option '${name}' must be ${kind} ${describeRange(min, max)}, got ${number}`,
      );
    }
    return number;
  };

  return {
    number: (name, fallback, range = {}) => numeric(name, fallback, range, 'a number'),
    integer: (name, fallback, range = {}) =>
      numeric(name, fallback, { max: Number.MAX_SAFE_INTEGER, ...range }, 'a whole number'),
    boolean: (name, fallback) => {
      const value = take(name);
      if (value === undefined) return fallback;
      return typeof value === 'boolean' ? value : wrong(name, 'true or false', value);
    },
    string: (name, fallback) => {
      const value = take(name);
      if (value === undefined) return fallback;
      if (typeof value !== 'string') return wrong(name, 'a string', value);
      if (value === '')
        throw new RangeError(`${owner}: option '${name}' must be a string that is not empty, got ""`);
      return value;
    },
    oneOf: <const Choice, Default>(name: string, choices: readonly Choice[], fallback: Default) => {
      const value = take(name);
      if (value === undefined) return fallback;
      if (!choices.includes(value as Choice))
        wrong(name, `one of ${choices.map(describe).join(', ')}`, value);
      return value as Choice;
    },
    function: <Fn>(name: string, fallback: Fn) => {
      const value = take(name);
      if (value === undefined) return fallback;
      return typeof value === 'function' ? (value as Fn) : wrong(name, 'a function', value);
    },
    object: <T>(name: string, fallback: T, methods: readonly string[] = []) => {
      const value = take(name);
      if (value === undefined) return fallback;
      if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
        wrong(name, 'an object', value);
      }
      for (const method of methods) {
        if (typeof (value as Record<string, unknown>)[method] !== 'function') {
          wrong(name, `an object with the method ${method}()`, value);
        }
      }
      return value as T;
    },
    any: take,
    end: () => {
      for (const name of Object.keys(given)) {
        if (!asked.has(name)) {
          throw new TypeError(
            `${owner}: unknown option '${name}'; known are ${[...asked].sort().join(', ')}`,
          );
        }
      }
    },
  };
}

function describeRange(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY || max === Number.MAX_SAFE_INTEGER) return `of at least ${min}`;
  if (min === Number.NEGATIVE_INFINITY) return `of at most ${max}`;
  return `from ${min} to ${max}`;
}

const LONGEST_SHOWN = 60;

/** A short, safe text for a value in an error message; never calls the value's own code. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string': {
      const shown = value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}…` : value;
      return JSON.stringify(shown);
    }
    case 'bigint':
      return `${value}n`;
    case 'function':
      return 'a function';
    case 'symbol':
      return 'a symbol';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : 'an object';
    default:
      return String(value);
  }
}
