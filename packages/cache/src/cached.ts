import type { Cache } from './cache.ts';
import { BIND } from './internal/cached-function.ts';
import type { CachedFunction, WrapOptions } from './types.ts';

type Method<Args extends readonly unknown[]> = (this: never, ...args: Args) => Promise<unknown>;

/** What {@link cached} returns: usable as a standard decorator and under `experimentalDecorators`. */
export interface CachedDecorator<Args extends readonly unknown[]> {
  <Decorated extends Method<Args>>(method: Decorated, context: ClassMethodDecoratorContext): Decorated;
  <Decorated extends Method<Args>>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Decorated>,
  ): TypedPropertyDescriptor<Decorated>;
}

/**
 * Decorates an asynchronous method, so that it is answered from `cache`.
 *
 * All instances share the values: what the result depends on besides the arguments belongs into the
 * option `key`. The name of its keys is `Class.method`, or `method` where the class can't be known
 * (standard decorators): give `name` when two classes have the same, and where a minifier renames classes.
 * A call costs what one of a wrapped function does; a load runs with the `this` of the call that began it.
 *
 * @throws TypeError where what is decorated is no method, or its name is taken within the cache; as `wrap` does for its options.
 *
 * @example
 * class Policies {
 *   @cached(cache, { name: 'policy', ttlMs: 300_000 })
 *   async find(id: string) {
 *     return { id };
 *   }
 * }
 */
export function cached<Args extends readonly unknown[] = never[]>(
  cache: Cache,
  options: WrapOptions<Args> = {},
): CachedDecorator<Args> {
  const decorate = (
    target: unknown,
    context: ClassMethodDecoratorContext | string | symbol,
    descriptor?: PropertyDescriptor,
  ): unknown => {
    const isStandard = typeof context === 'object';
    const method: unknown = isStandard ? target : descriptor?.value;
    if (typeof method !== 'function' || (isStandard && context.kind !== 'method')) {
      throw new TypeError('cached: only methods can be decorated');
    }
    const name = String(isStandard ? context.name : context);
    const owner = isStandard ? undefined : classNameOf(target);
    const wrapped = cache.wrap(method as (...args: Args) => Promise<unknown>, {
      name: owner === undefined ? name : `${owner}.${name}`,
      ...options,
    });
    return isStandard ? wrapped : { ...descriptor, value: wrapped };
  };
  return decorate as CachedDecorator<Args>;
}

/**
 * The cache's side of a decorated method: `peek`, `invalidate` and the rest.
 *
 * What begins loads by itself (`with`, `many`, `warm`, or calling what this returns) needs the `instance` for the method's
 * `this`; without one it is `undefined`.
 *
 * @example
 * class Policies {
 *   @cached(cache, { name: 'policy' })
 *   async find(id: string) {
 *     return { id };
 *   }
 * }
 * const policies = new Policies();
 * await cachedMethod(policies.find).invalidate('42');
 * await cachedMethod(policies.find, policies).with({ signal: AbortSignal.timeout(100) }, '42');
 *
 * @throws TypeError when the method is not decorated with {@link cached}.
 */
export function cachedMethod<Args extends readonly unknown[], Value>(
  method: (...args: Args) => Promise<Value>,
  instance?: object,
): CachedFunction<Args, Value> {
  if (typeof method !== 'function' || !(BIND in method)) {
    throw new TypeError('cachedMethod: the method is not decorated with cached()');
  }
  const cachedFunction = method as Bindable<Args, Value>;
  return instance === undefined ? cachedFunction : cachedFunction[BIND](instance);
}

interface Bindable<Args extends readonly unknown[], Value> extends CachedFunction<Args, Value> {
  [BIND](instance: object): CachedFunction<Args, Value>;
}

function classNameOf(target: unknown): string | undefined {
  const name: unknown =
    typeof target === 'function' ? target.name : (target as object | undefined)?.constructor?.name;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
