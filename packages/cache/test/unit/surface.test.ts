import Keyv from 'keyv';
import { expect, test } from 'vitest';
import {
  cached,
  cachedMethod,
  constitutionalDataCache,
  createCache,
  databaseQueryCache,
  hotEndpointCache,
} from '../../src/index.ts';
import { createKeyvStore } from '../../src/keyv.ts';

test('the standard decorator caches a method by its arguments, for all instances', async () => {
  await using cache = createCache({ namespace: 'decorated' });
  let loads = 0;
  class Policies {
    async find(id: string): Promise<string> {
      loads++;
      return `policy ${id}`;
    }
  }
  const context = { kind: 'method', name: 'find' } as ClassMethodDecoratorContext;
  Policies.prototype.find = cached(cache, { key: (id: string) => id })(Policies.prototype.find, context);
  const policies = new Policies();
  expect(await policies.find('1')).toBe('policy 1');
  expect(await new Policies().find('1')).toBe('policy 1');
  expect(loads).toBe(1);
  await cachedMethod(policies.find).invalidate('1');
  await policies.find('1');
  expect(loads).toBe(2);
});

test('the legacy decorator replaces the method in its descriptor and is named by its class', async () => {
  await using cache = createCache({ namespace: 'decorated' });
  class Policies {
    prefix = 'policy';
    async find(id: string): Promise<string> {
      return `${this.prefix} ${id}`;
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Policies.prototype, 'find') as TypedPropertyDescriptor<
    Policies['find']
  >;
  Object.defineProperty(Policies.prototype, 'find', cached(cache)(Policies.prototype, 'find', descriptor));
  const policies = new Policies();
  expect(await policies.find('1')).toBe('policy 1');
  expect(cachedMethod(policies.find).cacheName).toBe('Policies.find');
});

test('presets live 300, 600 and 1,800 s and carry the constitutional hash in every key', async () => {
  for (const preset of [hotEndpointCache, databaseQueryCache, constitutionalDataCache]) {
    await using cache = preset({ constitutionalHash: 'cdd01ef066bc6cf2' });
    expect(cache.namespace).toMatch(/@cdd01ef066bc6cf2$/);
  }
  expect(() => hotEndpointCache({} as never)).toThrow(/constitutionalHash/);
});

test('a Keyv over the cache gets, sets, expires, deletes and clears', async () => {
  await using cache = createCache({ namespace: 'keyv' });
  const keyv = new Keyv({ store: createKeyvStore(cache) });
  expect(await keyv.set('a', { b: 1 }, 1_000)).toBe(true);
  expect(await keyv.get('a')).toEqual({ b: 1 });
  expect(await keyv.get('missing')).toBeUndefined();
  expect(await keyv.delete('a')).toBe(true);
  expect(await keyv.get('a')).toBeUndefined();
  await keyv.set('c', 1);
  await keyv.clear();
  expect(await keyv.get('c')).toBeUndefined();
});

test('Keyvs of several namespaces over one cache keep their keys apart, and clear only their own', async () => {
  await using cache = createCache({ namespace: 'keyv' });
  const names = [undefined, 'a', 'a:b', 'b', ''];
  const keyvs = names.map(
    (namespace) =>
      new Keyv({ store: createKeyvStore(cache), ...(namespace === undefined ? {} : { namespace }) }),
  );
  const read = (key: string) => Promise.all(keyvs.map((keyv) => keyv.get(key)));
  for (const key of ['x', 'b:x']) {
    await Promise.all(keyvs.map((keyv, index) => keyv.set(key, index)));
    expect(await read(key)).toEqual([0, 1, 2, 3, 4]);
  }
  expect(await keyvs[1]?.delete('x')).toBe(true);
  expect(await read('x')).toEqual([0, undefined, 2, 3, 4]);
  await keyvs[2]?.clear();
  expect(await read('b:x')).toEqual([0, 1, undefined, 3, 4]);
  await keyvs[4]?.clear();
  expect(await read('b:x')).toEqual([0, 1, undefined, 3, undefined]);
  await keyvs[0]?.clear();
  expect(await read('b:x')).toEqual(names.map(() => undefined));
});

test('batch calls keep their order, and a warm-up counts what failed', async () => {
  await using cache = createCache({ namespace: 'batch' });
  await cache.setMany([
    ['a', 1],
    ['b', null],
  ]);
  expect(await cache.getMany(['b', 'none', 'a'])).toEqual([null, undefined, 1]);
  const load = cache.wrap(
    async (id: number) => {
      if (id === 2) throw new Error('no');
      return id;
    },
    { name: 'load' },
  );
  expect(await load.warm([[1], [2], [3]])).toMatchObject({ succeeded: 2, failed: 1 });
  expect(await load.many([[3], [1]])).toEqual([3, 1]);
});
