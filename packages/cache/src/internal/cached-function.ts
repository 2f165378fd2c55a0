import { optionReader } from '@hotpath/core';
import type { CachedFunction, CallOptions, ChangeResult, LoadContext, WarmOptions } from '../types.ts';
import { closedError } from './cache-core.ts';
import { checkArguments, checkItems, checkTags, readSignal } from './checks.ts';
import { keyOfString, type LocalKey } from './key-codec.ts';
import { KeyMemo } from './key-memo.ts';
import type { ResolvedEntryOptions } from './lifetime.ts';
import type { Load } from './load.ts';
import type { Place } from './memory.ts';
import type { Region } from './region.ts';
import { readWarmLimits, warmUp } from './warm-up.ts';

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

/** On a cached function: gives one over the same values whose loads have another `this`. */
export const BIND: unique symbol = Symbol('bind');

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
    return tagsOf(this.#settings, this.#args);
  }

  run(_context: LoadContext): unknown {
    return Reflect.apply(this.#loader, this.#receiver, this.#args);
  }
}

function tagsOf<Args extends readonly unknown[]>(
  { name, tags }: Settings<Args>,
  args: Args,
): readonly string[] {
  return tags === undefined ? NO_TAGS : checkTags(name, tags(...args));
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
  const memo = new KeyMemo(name);
  const isDirect = keyOf === undefined;

  function askedOfOne(value: unknown): LocalKey | Place {
    if (typeof value === 'string') return keyOfString(value);
    if (typeof value === 'number') return value === 0 ? 0 : value;
    return memo.placeOfOne(value);
  }

  function askedFor(args: Args): LocalKey | Place {
    if (keyOf === undefined) return args.length === 1 ? askedOfOne(args[0]) : memo.placeOfMany(args);
    const part = keyOf(...args);
    if (!Array.isArray(part)) return askedOfOne(part);
    return part.length === 1 ? askedOfOne(part[0]) : memo.placeOfMany(part);
  }

  function keyFor(args: Args): LocalKey {
    return keyAt(askedFor(args));
  }

  function load(receiver: unknown, args: Args, key: LocalKey, signal?: AbortSignal): Promise<Value> {
    const run = new CallLoad(loader as (...args: Args) => unknown, receiver, args, settings);
    return region.get(key, run, signal) as Promise<Value>;
  }

  // Calls of one or two arguments go without an array of them, which would cost more than the hit: as long as
  // `rest` is only spread into calls it is never made.
  function call(this: unknown, first?: unknown, second?: unknown, ...rest: unknown[]): Promise<Value> {
    // biome-ignore lint/complexity/noArguments: its length costs nothing
    const count = arguments.length;
    if (!isDirect || count === 0 || count > 2) return callWith(this, listOf(count, first, second, ...rest));
    let asked: LocalKey | Place;
    try {
      asked = count === 1 ? askedOfOne(first) : memo.placeOfTwo(first, second);
    } catch (error) {
      return Promise.reject(error);
    }
    const entry = region.hit(asked);
    if (entry === undefined)
      return load(this, (count === 1 ? [first] : [first, second]) as unknown as Args, keyAt(asked));
    counters.l1Hits++;
    return region.promiseOf(entry) as Promise<Value>;
  }

  function callWith(receiver: unknown, args: Args): Promise<Value> {
    let asked: LocalKey | Place;
    try {
      asked = askedFor(args);
    } catch (error) {
      return Promise.reject(error);
    }
    const entry = region.hit(asked);
    if (entry === undefined) return load(receiver, args, keyAt(asked));
    counters.l1Hits++;
    return region.promiseOf(entry) as Promise<Value>;
  }

  function peek(first?: unknown, second?: unknown, ...rest: unknown[]): Value | undefined {
    // biome-ignore lint/complexity/noArguments: as above
    const count = arguments.length;
    let asked: LocalKey | Place;
    if (!isDirect || count === 0 || count > 2) asked = askedFor(listOf(count, first, second, ...rest));
    else asked = count === 1 ? askedOfOne(first) : memo.placeOfTwo(first, second);
    const entry = region.hit(asked);
    return entry === undefined ? undefined : (region.valueOf(entry) as Value);
  }

  /** What a cached function has besides being called; `receiver` is the `this` of loads that are begun through it. */
  function withSurface(target: object, receiver: unknown): CachedFunction<Args, Value> {
    const get = (args: Args): Promise<Value> => Reflect.apply(call, receiver, args) as Promise<Value>;
    return Object.defineProperties(
      target,
      Object.getOwnPropertyDescriptors({
        cacheName: name,
        peek,
        async with(options: CallOptions, ...args: Args): Promise<Value> {
          const read = optionReader(`${name}.with`, options);
          const signal = readSignal(read);
          read.end();
          return load(receiver, args, keyFor(args), signal);
        },
        async many(calls: Iterable<Args>): Promise<Value[]> {
          checkItems(`${name}.many`, 'the calls', calls);
          const all = [...calls].map((args) => checkArguments(`${name}.many`, args));
          return Promise.all(all.map(get));
        },
        async set(args: Args, value: Value): Promise<ChangeResult> {
          const key = keyFor(checkArguments(`${name}.set`, args));
          return changes.set(key, value, tagsOf(settings, args));
        },
        async invalidate(...args: Args): Promise<ChangeResult> {
          return changes.drop(keyFor(args));
        },
        invalidateAll: () => changes.dropAll(),
        async warm(calls: Iterable<Args>, options?: WarmOptions) {
          checkItems(`${name}.warm`, 'the calls', calls);
          const read = optionReader(`${name}.warm`, options);
          const limits = readWarmLimits(read);
          read.end();
          if (core.isClosed) throw closedError();
          return warmUp(calls, limits, (args) => get(checkArguments(`${name}.warm`, args)));
        },
        [BIND]: (self: unknown) => withSurface((...args: Args) => Reflect.apply(call, self, args), self),
      }),
    ) as CachedFunction<Args, Value>;
  }

  return withSurface(call, undefined);
}

function keyAt(asked: LocalKey | Place): LocalKey {
  return typeof asked === 'object' ? asked.key : asked;
}

/** The arguments of a call that had `count` of them. */
function listOf<Args extends readonly unknown[]>(count: number, ...all: unknown[]): Args {
  return (count < all.length ? all.slice(0, count) : all) as unknown as Args;
}
