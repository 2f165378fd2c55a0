import ts from 'typescript';
import { expect, test } from 'vitest';
import { type Cache, cached, cachedMethod, createCache } from '../../src/index.ts';

const source = `
class Policies {
  prefix = 'policy';
  @cached(cache, { name: 'find', tags: (id) => ['policy:' + id] })
  async find(id) {
    loads.push(id);
    return this.prefix + ' ' + id;
  }
  @cached(cache)
  static async count(tenant, filter) {
    loads.push(tenant);
    return filter.state + ' of ' + tenant;
  }
  @cached(cache, { key: (query) => query.id })
  async byQuery(query) {
    loads.push(query.id);
    return query.id;
  }
}
exports.Policies = Policies;
`;

interface Policies {
  find(id: string): Promise<string>;
  byQuery(query: { readonly id: number; readonly trace: object }): Promise<number>;
}
interface PoliciesClass {
  new (): Policies;
  count(tenant: string, filter: { readonly state: string }): Promise<string>;
}

/** Compiles the class as a user's compiler would, and runs it. */
function compile(cache: Cache, loads: unknown[], options: ts.CompilerOptions): PoliciesClass {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, ...options },
  });
  expect(outputText).not.toContain('@cached');
  const exports: { Policies?: PoliciesClass } = {};
  new Function('exports', 'cached', 'cache', 'loads', outputText)(exports, cached, cache, loads);
  return exports.Policies as PoliciesClass;
}

const forms = [
  ['standard', { target: ts.ScriptTarget.ES2022 }],
  [
    'standard, with class fields assigned',
    { target: ts.ScriptTarget.ES2017, useDefineForClassFields: false },
  ],
  ['legacy', { target: ts.ScriptTarget.ES2022, experimentalDecorators: true }],
] as const;

for (const [form, options] of forms) {
  test(`${form}: compiled methods are answered from the cache, for all instances and with their own this`, async () => {
    await using cache = createCache({ namespace: 'decorated' });
    const loads: unknown[] = [];
    const Class = compile(cache, loads, options);
    const one = new Class();
    expect([await one.find('1'), await one.find('1'), await new Class().find('1')]).toEqual([
      'policy 1',
      'policy 1',
      'policy 1',
    ]);
    expect(loads).toEqual(['1']);
    expect(await one.find('2')).toBe('policy 2');

    expect(cachedMethod(one.find).peek('1')).toBe('policy 1');
    await cachedMethod(one.find).invalidate('1');
    expect(cachedMethod(one.find).peek('1')).toBeUndefined();
    await cache.invalidateTags('policy:2');
    expect(cachedMethod(one.find).peek('2')).toBeUndefined();

    expect(await Class.count('a', { state: 'open' })).toBe('open of a');
    expect(await Class.count('a', { state: 'open' })).toBe('open of a');
    expect(await Class.count('a', { state: 'closed' })).toBe('closed of a');
    expect(await one.byQuery({ id: 1, trace: {} })).toBe(await one.byQuery({ id: 1, trace: new Map() }));
    expect(loads).toEqual(['1', '2', 'a', 'a', 1]);
  });
}

test('keys are named by class and method where the class is known, else by the method', async () => {
  for (const [options, names] of [
    [{ target: ts.ScriptTarget.ES2022 }, ['find', 'count', 'byQuery']],
    [
      { target: ts.ScriptTarget.ES2022, experimentalDecorators: true },
      ['find', 'Policies.count', 'Policies.byQuery'],
    ],
  ] as const) {
    await using cache = createCache({ namespace: 'named' });
    const Class = compile(cache, [], options);
    const { find, byQuery } = new Class();
    expect([find, Class.count, byQuery].map((method) => cachedMethod(method as never).cacheName)).toEqual(
      names,
    );
  }
});

test('what is no method is refused, and so are two methods of one name', async () => {
  await using cache = createCache({ namespace: 'wrong' });
  const decorate = cached(cache) as unknown as (value: unknown, context: object) => unknown;
  expect(() => decorate(class {}, { kind: 'class', name: 'Policies' })).toThrow(
    /only methods can be decorated/,
  );
  expect(() => decorate(undefined, { kind: 'field', name: 'x' })).toThrow(/only methods can be decorated/);
  decorate(async () => 1, { kind: 'method', name: 'find' });
  expect(() => decorate(async () => 1, { kind: 'method', name: 'find' })).toThrow(/'name' must be unique/);
  expect(() => cachedMethod(async () => 1)).toThrow(/not decorated with cached/);
});
