import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resolveHttpHedgeOptions } from '../../src/hedge.ts';
import { HTTP_DEFAULTS } from '../../src/index.ts';
import { resolveHttpClientOptions } from '../../src/options.ts';
import { resolveHttpRedirectOptions } from '../../src/redirect.ts';
import { resolveHttpRetryOptions } from '../../src/retry.ts';

const root = new URL('../../', import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8');

/** What a text means: `10,000`, `10 MiB`, `true`; `undefined` where it is none of these. */
function meant(text: string): number | boolean | undefined {
  const [, digits, unit] = /^([\d.,]+)(?: ?(KiB|MiB|ms))?$/.exec(text.replaceAll('`', '')) ?? [];
  if (digits !== undefined) {
    return Number(digits.replaceAll(',', '')) * ({ KiB: 1024, MiB: 1024 ** 2 }[unit ?? ''] ?? 1);
  }
  return { true: true, false: false }[text.replaceAll('`', '')];
}

/** The options of a file whose doc comment names a default that is a number or a flag. */
function documentedDefaults(file: string): [string, number | boolean][] {
  return [
    ...read(file).matchAll(/\/\*\* [^\n]*Default ([^.;]+(?:\.\d+)?)[^\n]*\*\/\n {2}readonly (\w+)\?/g),
  ].flatMap(([, text, name]) => {
    const value = meant(text as string);
    return value === undefined ? [] : [[name as string, value] as [string, number | boolean]];
  });
}

describe('the documentation', () => {
  it('names the defaults that the code has', () => {
    const client = resolveHttpClientOptions();
    const files: [string, Record<string, unknown>, number][] = [
      [
        'src/options.ts',
        { ...client, ...client.dns, ssrfGuard: false, http2: false, redirect: false, hedge: false },
        15,
      ],
      ['src/retry.ts', { ...resolveHttpRetryOptions(undefined) }, 5],
      ['src/hedge.ts', { ...resolveHttpHedgeOptions({}) }, 1],
      ['src/redirect.ts', { ...resolveHttpRedirectOptions({}) }, 1],
    ];
    for (const [file, resolved, least] of files) {
      const documented = documentedDefaults(file);
      expect(documented.length, file).toBeGreaterThanOrEqual(least);
      expect(Object.fromEntries(documented), file).toEqual(
        Object.fromEntries(documented.map(([name]) => [name, resolved[name]])),
      );
    }
    expect(client.hedge).toBeUndefined();
    expect(client.redirect).toBeUndefined();
    expect(client.http2?.size).toBe(0);
  });

  it('has them in the table of the README as well', () => {
    const told: Record<string, unknown> = {};
    for (const [, names, defaults] of read('README.md').matchAll(
      /^\| ((?:`\w+`(?:, )?)+) \| ([^|{]+) \|/gm,
    )) {
      const values = (defaults as string).split(/, (?!\d{3}\b)/);
      for (const [index, name] of (names as string).replaceAll('`', '').split(', ').entries()) {
        const value = meant((values[index] ?? '').trim());
        if (value !== undefined) told[name] = value;
      }
    }
    expect(told).toMatchObject(HTTP_DEFAULTS);
    for (const name of Object.keys(HTTP_DEFAULTS)) expect(told).toHaveProperty(name);
    const retry = /`retry` \| `(\{.*?\})`/.exec(read('README.md'))?.[1] as string;
    const { statuses, ...rest } = resolveHttpRetryOptions(undefined);
    expect(new Function(`return ${retry}`)()).toEqual({ ...rest, statuses: [...statuses] });
  });

  it('lists each error with its class, and a test sees each', () => {
    const thrown = [
      ...read('src/errors.ts').matchAll(/export class (\w+)<\n? *Code extends ErrorCode =([^>]+)>/g),
    ].flatMap(([, name, codes]) =>
      [...(codes as string).matchAll(/'(\w+)'/g)].map(([, code]) => `${code} ${name}`),
    );
    const listed = [...read('README.md').matchAll(/^\| `(HOTPATH_\w+)` \| (\w+) \|/gm)].map(
      ([, code, name]) => `${code} ${name}`,
    );
    expect(listed.sort()).toEqual(thrown.sort());
    const tests = globSync('test/integration/*.test.ts', { cwd: root }).map(read).join('\n');
    for (const line of thrown) expect(tests).toContain(line.split(' ')[0]);
  });
});
