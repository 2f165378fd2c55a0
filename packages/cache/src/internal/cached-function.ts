import type { CachedFunction, CallOptions, ChangeResult, LoadContext } from '../types.ts';
import { warmUp } from '../warm-up.ts';
import { closedError } from './cache-core.ts';
import type { Load } from './flight.ts';
import { keyOfArguments, keyOfPair, keyOfValue, type LocalKey } from './key-codec.ts';
import type { ResolvedEntryOptions } from './lifetime.ts';
import type { Region } from './region.ts';

interface Settings<Args extends readonly unknown[]> {
  readonly name: string;
  readonly entry: ResolvedEntryOptions;
  readonly key: ((...args: Args) => unknown) | undefined;
  readonly tags: ((...args: Args) => readonly string[]) | undefined;
}

/** What a cached function needs of its cache to change values. */
interface Changes {
  set(key: LocalKey, value: unknown, tags: readonly string[]): Promise<ChangeResult>;
  drop(key: LocalKey): Promise<ChangeResult>;
  dropAll(): Promise<ChangeResult>;
}

const NO_TAGS: readonly string[] = Object.freeze([]);

class CallLoad<Args extends readonly unknown[]> implements Load {
  readonly #loader: (...args: Args) => unknown;
  readonly #receiver: unknown;
  readonly #args: Args;
  readonly #settings: Settings<Args>;

  constructor(loader: (...args: Args) => unknown, receiver: unknown, args: Args, settings: Settings<Args>) {
    this.#loader = loader;
    this.#receiver = receiver;
    this.#args = args;
    this.#settings = settings;
  }

  get options(): ResolvedEntryOptions {
    return this.#settings.entry;
  }

  tags(): readonly string[] {
    return this.#settings.tags?.(...this.#args) ?? NO_TAGS;
  }

  run(_context: LoadContext): unknown {
    return Reflect.apply(this.#loader, this.#receiver, this.#args);
  }
}

/** Makes the function that {@link Cache.wrap} returns. */
export function makeCachedFunction<Args extends readonly unknown[], Value>(
  region: Region,
  loader: (...args: Args) => Value | PromiseLike<Value>,
  settings: Settings<Args>,
  changes: Changes,
): CachedFunction<Args, Value> {
  const { name, key: keyOf } = settings;
  const { core } = region;
  const { counters } = core;

  function keyFor(args: Args): LocalKey {
    if (keyOf === undefined) return keyOfArguments(args, name);
    const part = keyOf(...args);
    return Array.isArray(part) ? keyOfArguments(part, name) : keyOfValue(part, name);
  }

  function load(receiver: unknown, args: Args, key: LocalKey, options?: CallOptions): Promise<Value> {
    return region.get(
      key,
      new CallLoad(loader as (...args: Args) => unknown, receiver, args, settings),
      options,
    ) as Promise<Value>;
  }

  /** The key of one or two arguments, without an array of them; `undefined` for more. */
  function quickKey(count: number, first: unknown, second: unknown): LocalKey | undefined {
    if (keyOf !== undefined) return undefined;
    if (count === 1) return keyOfValue(first, name);
    return count === 2 ? keyOfPair(first, second, name) : undefined;
  }

  function call(this: unknown, first?: unknown, second?: unknown, ...rest: unknown[]): Promise<Value> {
    // biome-ignore lint/complexity/noArguments: its length alone costs nothing, an array of the arguments does
    const count = arguments.length;
    let key: LocalKey | undefined;
    try {
      key = quickKey(count, first, second);
      if (key === undefined) return callWith(this, listOf(count, first, second, rest) as unknown as Args);
    } catch (error) {
      return Promise.reject(error);
    }
    const entry = region.hit(key);
    if (entry !== undefined) {
      counters.l1Hits++;
      return region.promiseOf(entry) as Promise<Value>;
    }
    return load(this, listOf(count, first, second, rest) as unknown as Args, key);
  }

  function callWith(receiver: unknown, args: Args): Promise<Value> {
    const key = keyFor(args);
    const entry = region.hit(key);
    if (entry !== undefined) {
      counters.l1Hits++;
      return region.promiseOf(entry) as Promise<Value>;
    }
    return load(receiver, args, key);
  }

  const cached = call as unknown as CachedFunction<Args, Value>;
  return Object.defineProperties(
    cached,
    Object.getOwnPropertyDescriptors({
      cacheName: name,
      peek(first?: unknown, second?: unknown, ...rest: unknown[]): Value | undefined {
        // biome-ignore lint/complexity/noArguments: as above
        const count = arguments.length;
        const key =
          quickKey(count, first, second) ?? keyFor(listOf(count, first, second, rest) as unknown as Args);
        const entry = region.hit(key);
        return entry === undefined ? undefined : (region.valueOf(entry) as Value);
      },
      async with(options: CallOptions, ...args: Args): Promise<Value> {
        return load(undefined, args, keyFor(args), options);
      },
      many: async (calls: Iterable<Args>): Promise<Value[]> => {
        return Promise.all([...calls].map((args) => cached(...args)));
      },
      async set(args: Args, value: Value): Promise<ChangeResult> {
        return changes.set(keyFor(args), value, settings.tags?.(...args) ?? NO_TAGS);
      },
      async invalidate(...args: Args): Promise<ChangeResult> {
        if (core.isClosed) throw closedError();
        return changes.drop(keyFor(args));
      },
      invalidateAll: () => changes.dropAll(),
      warm: (calls: Iterable<Args>, options = {}) => warmUp(calls, (args) => cached(...args), options),
    }),
  );
}

/** The arguments of a call that had `count` of them. */
function listOf(count: number, first: unknown, second: unknown, rest: readonly unknown[]): unknown[] {
  if (count === 0) return [];
  return count === 1 ? [first] : [first, second, ...rest];
}
