import * as swc from '@swc/core';
import * as esbuild from 'esbuild';
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

type Compile = (text: string) => string;

const withTypeScript =
  (options: ts.CompilerOptions): Compile =>
  (text) =>
    ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.CommonJS, ...options } }).outputText;

const withEsbuild =
  (experimentalDecorators: boolean): Compile =>
  (text) => {
    const tsconfigRaw = { compilerOptions: { experimentalDecorators } };
    return esbuild.transformSync(text, { loader: 'ts', target: 'es2022', tsconfigRaw }).code;
  };

const withSwc =
  (transform: swc.TransformConfig): Compile =>
  (text) => {
    const parser = { syntax: 'typescript', decorators: true } as const;
    return swc.transformSync(text, {
      swcrc: false,
      configFile: false,
      module: { type: 'commonjs' },
      jsc: { parser, transform, target: 'es2022', externalHelpers: false },
    }).code;
  };

/** What users' compilers make of a decorator; tsx and vite-node are esbuild. */
const standard: Record<string, Compile> = {
  'TypeScript, standard': withTypeScript({ target: ts.ScriptTarget.ES2022 }),
  'TypeScript, standard, with class fields assigned': withTypeScript({
    target: ts.ScriptTarget.ES2017,
    useDefineForClassFields: false,
  }),
  'esbuild, standard': withEsbuild(false),
  'swc, standard of 2022': withSwc({ decoratorVersion: '2022-03' }),
  'swc, standard of 2023': withSwc({ decoratorVersion: '2023-11' as '2022-03' }),
};
const legacy: Record<string, Compile> = {
  'TypeScript, legacy': withTypeScript({ target: ts.ScriptTarget.ES2022, experimentalDecorators: true }),
  'TypeScript, legacy, with metadata': withTypeScript({
    target: ts.ScriptTarget.ES2017,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  }),
  'esbuild, legacy': withEsbuild(true),
  'swc, legacy': withSwc({ legacyDecorator: true, decoratorMetadata: true }),
};
const compilers = { ...standard, ...legacy };

/** Compiles the class as a user's compiler would, and runs it. */
function compile(cache: Cache, loads: unknown[], compiled: Compile): PoliciesClass {
  const code = compiled(source);
  expect(code).not.toContain('@cached');
  const exports: { Policies?: PoliciesClass } = {};
  new Function('exports', 'cached', 'cache', 'loads', code)(exports, cached, cache, loads);
  return exports.Policies as PoliciesClass;
}

for (const [form, compiler] of Object.entries(compilers)) {
  test(`${form}: methods are answered from the cache, for all instances and with their own this`, async () => {
    await using cache = createCache({ namespace: 'decorated' });
    const loads: unknown[] = [];
    const Class = compile(cache, loads, compiler);
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

test('loads that are begun through the cache side of a method have the instance that it was given for', async () => {
  await using cache = createCache({ namespace: 'decorated' });
  const Class = compile(cache, [], withEsbuild(false));
  const one = new Class();
  const method = cachedMethod(one.find, one);
  expect(await method.with({ signal: new AbortController().signal }, '1')).toBe('policy 1');
  expect(await method.many([['1'], ['2']])).toEqual(['policy 1', 'policy 2']);
  expect(await method.warm([['2'], ['3']])).toEqual({ succeeded: 2, failed: 0 });
  expect(await method('4')).toBe('policy 4');
  // The values are the same for all.
  expect(['1', '2', '3', '4'].map((id) => cachedMethod(new Class().find).peek(id))).toEqual([
    'policy 1',
    'policy 2',
    'policy 3',
    'policy 4',
  ]);
  await expect(cachedMethod(one.find).with({}, '5')).rejects.toThrow(/undefined/);
  const controller = new AbortController();
  controller.abort('left');
  await expect(method.with({ signal: controller.signal }, '6')).rejects.toBe('left');
});

test('keys are named by class and method where the class is known, else by the method', async () => {
  for (const [forms, names] of [
    [standard, ['find', 'count', 'byQuery']],
    [legacy, ['find', 'Policies.count', 'Policies.byQuery']],
  ] as const) {
    for (const compiler of Object.values(forms)) {
      await using cache = createCache({ namespace: 'named' });
      const Class = compile(cache, [], compiler);
      const { find, byQuery } = new Class();
      expect([find, Class.count, byQuery].map((method) => cachedMethod(method as never).cacheName)).toEqual(
        names,
      );
    }
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
