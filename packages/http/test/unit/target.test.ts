import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendQuery, joinPath, redactUrl } from '../../src/internal/target.ts';

describe('paths', () => {
  it('are what `new URL` makes of them, whatever is in them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const relative = `/${text.replaceAll(/^[/\\\t\n\r]+/g, '')}`;
        const parsed = new URL(relative, 'http://base');
        if (parsed.host !== 'base') return;
        expect(joinPath('', relative)).toBe(parsed.pathname + parsed.search);
      }),
    );
  });

  it('never leave the base', () => {
    const segment = fc.constantFrom('..', '.', '%2e%2e', '%2E.', 'a', '', '..;', '\\..', '%2f');
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
        let joined: string;
        try {
          joined = joinPath('/v1', `/${segments.join('/')}`);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        const { pathname } = new URL(joined, 'http://base');
        expect(pathname === '/v1' || pathname.startsWith('/v1/')).toBe(true);
      }),
    );
  });

  it('take a query, after one of their own', () => {
    expect(appendQuery('/a', { b: 1, c: [true, 'd e'], f: undefined })).toBe('/a?b=1&c=true&c=d+e');
    expect(appendQuery('/a?b=1', new URLSearchParams({ c: '&' }))).toBe('/a?b=1&c=%26');
    expect(appendQuery('/a', {})).toBe('/a');
  });

  it('show nothing secret', () => {
    expect(redactUrl('https://user:pass@host:1/path?token=x#y')).toBe('https://host:1/path');
    expect(redactUrl('/path?x')).toBe('/path');
  });
});
