import Keyv from 'keyv';
import { describe, expectTypeOf, it } from 'vitest';
import { type Cache, type CachedFunction, type ChangeResult, cachedMethod } from '../../src/index.ts';
import { createKeyvStore } from '../../src/keyv.ts';
import type { Policies, Policy } from './decorated.ts';

declare const cache: Cache;
declare const find: (id: number, query?: { readonly page: number }) => Promise<Policy | null>;

describe('types', () => {
  it('a wrapped function keeps its arguments and its result', () => {
    const wrap = () =>
      cache.wrap(find, { name: 'find', tags: (id) => [`policy:${id}`], key: (id, query) => [id, query] });
    type Wrapped = ReturnType<typeof wrap>;
    expectTypeOf<Parameters<Wrapped>>().toEqualTypeOf<Parameters<typeof find>>();
    const called = (get: Wrapped) => get(1);
    expectTypeOf(called).returns.toEqualTypeOf<Promise<Policy | null>>();
    expectTypeOf<ReturnType<Wrapped>>().toEqualTypeOf<Promise<Policy | null>>();
    expectTypeOf<ReturnType<Wrapped['peek']>>().toEqualTypeOf<Policy | null | undefined>();
    expectTypeOf<Parameters<Wrapped['invalidate']>>().toEqualTypeOf<Parameters<typeof find>>();
    expectTypeOf<ReturnType<Wrapped['many']>>().toEqualTypeOf<Promise<(Policy | null)[]>>();
    expectTypeOf<ReturnType<Wrapped['set']>>().toEqualTypeOf<Promise<ChangeResult>>();
    // @ts-expect-error an id is a number
    const misused = (get: Wrapped) => get('1');
    expectTypeOf(misused).toBeFunction();
    // @ts-expect-error a tag is a string
    const wrong = () => cache.wrap(find, { tags: (id) => [id] });
    expectTypeOf(wrong).toBeFunction();
  });

  it('a function that is not asynchronous becomes so', () => {
    const wrap = () => cache.wrap((text: string) => text.length, { name: 'size' });
    expectTypeOf<ReturnType<typeof wrap>>().toEqualTypeOf<CachedFunction<[text: string], number>>();
  });

  it('getOrSet gives what its factory makes', () => {
    const get = () => cache.getOrSet('a', async ({ signal }) => ({ aborted: signal.aborted }));
    expectTypeOf<ReturnType<typeof get>>().toEqualTypeOf<Promise<{ aborted: boolean }>>();
    const plain = () => cache.get<Policy>('a');
    expectTypeOf<ReturnType<typeof plain>>().toEqualTypeOf<Promise<Policy | undefined>>();
    const unknown = () => cache.get('a');
    expectTypeOf<ReturnType<typeof unknown>>().toEqualTypeOf<Promise<unknown>>();
  });

  it('a decorated method keeps its type, and the options know its arguments', () => {
    expectTypeOf<Policies['find']>().toEqualTypeOf<(id: string, page: number) => Promise<Policy>>();
    const method = (policies: Policies) => cachedMethod(policies.find);
    expectTypeOf<ReturnType<typeof method>>().toEqualTypeOf<
      CachedFunction<[id: string, page: number], Policy>
    >();
  });

  it('Keyv takes the store', () => {
    const make = () => new Keyv({ store: createKeyvStore(cache) });
    expectTypeOf<ReturnType<typeof make>>().toExtend<Keyv>();
  });
});
