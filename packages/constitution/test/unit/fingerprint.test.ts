import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentDigest, DocumentError, fingerprint, parseFingerprint } from '../../src/index.ts';

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

describe('fingerprint', () => {
  it('hashes the bytes as they are under the profile raw', () => {
    const spaced = 'Article 1\n        \nAll are heard.\n';
    expect(fingerprint(spaced).digest).toBe(sha256(spaced));
    expect(fingerprint(Buffer.from(spaced), { profile: 'raw' }).digest).toBe(sha256(spaced));
    expect(fingerprint('abc').toString()).toBe(
      'sha256:raw:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
    expect(fingerprint('abc').short).toBe('ba7816bf8f01cfea');
    expect(JSON.stringify({ at: fingerprint('abc') })).toContain('"sha256:raw:ba78');
  });

  it('changes under raw, and stays under text-v1, when an editor strips spaces', () => {
    const before = 'Article 1\n        \nAll are heard.  \t\n\n';
    const after = '\ufeffArticle 1\r\n\r\nAll are heard.';
    expect(fingerprint(before).short).not.toBe(fingerprint(after).short);
    expect(fingerprint(before, { profile: 'text-v1' })).toEqual(fingerprint(after, { profile: 'text-v1' }));
    expect(fingerprint(before, { profile: 'text-v1' }).digest).toBe(sha256('Article 1\n\nAll are heard.\n'));
  });

  it('composes characters under text-v1', () => {
    expect(fingerprint('e\u0301', { profile: 'text-v1' }).digest).toBe(sha256('\u00e9\n'));
    expect(fingerprint('a b', { profile: 'text-v1' }).digest).not.toBe(
      fingerprint('ab', { profile: 'text-v1' }).digest,
    );
  });

  it('does not care for the order of keys and the white space of JSON under jcs-v1', () => {
    const text = '{ "b": [1.0, 2e0],\n "a": "\\u20ac" }';
    const expected = sha256('{"a":"€","b":[1,2]}');
    expect(fingerprint(text, { profile: 'jcs-v1' }).digest).toBe(expected);
    expect(fingerprint(Buffer.from(text), { profile: 'jcs-v1' }).digest).toBe(expected);
    expect(fingerprint({ b: [1, 2], a: '€' }, { profile: 'jcs-v1' }).digest).toBe(expected);
  });

  it('tells apart rules that a joined text would confuse, and sees each flag', () => {
    const rule = { id: 'r:1', text: 'a', severity: 'high', keywords: ['x|y'], enabled: true };
    const of = (document: unknown): string => fingerprint(document, { profile: 'jcs-v1' }).short;
    expect(of(rule)).not.toBe(of({ ...rule, id: 'r', text: '1:a' }));
    expect(of(rule)).not.toBe(of({ ...rule, keywords: ['x', 'y'] }));
    expect(of(rule)).not.toBe(of({ ...rule, enabled: false }));
  });

  it('refuses text that has no UTF-8 form, and bytes that are not UTF-8', () => {
    expect(() => fingerprint('\ud800')).toThrow(DocumentError);
    expect(() => fingerprint(Uint8Array.of(0xff), { profile: 'text-v1' })).toThrow(
      'the document is not UTF-8',
    );
    expect(fingerprint(Uint8Array.of(0xff)).digest).toBe(sha256(Uint8Array.of(0xff)));
  });

  it('refuses options and documents that are not what they must be, by name', () => {
    expect(() => fingerprint({})).toThrow("profile 'raw' needs a document of text or bytes, got an object");
    expect(() => fingerprint('a', { profile: 'v1' as never })).toThrow("option 'profile' must be one of");
    expect(() => fingerprint('a', { profil: 'raw' } as never)).toThrow("unknown option 'profil'");
  });

  it('normalises text once and for all', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const once = fingerprint(text, { profile: 'text-v1' });
        expect(fingerprint(`${text}\n\n`, { profile: 'text-v1' })).toEqual(once);
        expect(fingerprint(text.replaceAll('\n', ' \r\n'), { profile: 'text-v1' })).toEqual(once);
      }),
    );
  });
});

describe('parseFingerprint', () => {
  it('reads what a fingerprint writes', () => {
    const whole = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
    const parsed = parseFingerprint(whole);
    expect(parsed.short).toBe('cdd01ef066bc6cf2');
    expect(parsed.profile).toBe('raw');
    expect(String(parsed)).toBe(whole);
  });

  const digest = 'a'.repeat(64);
  it.each([
    '',
    digest,
    `sha256:${digest}`,
    `sha256:v1:${digest}`,
    `SHA256:raw:${digest}`,
    `sha256:raw:${digest.toUpperCase()}`,
    `sha256:raw:${digest}\n`,
    ` sha256:raw:${digest}`,
    `sha256:raw:${digest.slice(1)}`,
    `sha512:raw:${digest}`,
    null,
    [`sha256:raw:${digest}`],
  ])('refuses %j', (text) => {
    expect(() => parseFingerprint(text as string)).toThrow(DocumentError);
  });
});

describe('contentDigest', () => {
  it('gives the values of the examples of RFC 9530', () => {
    expect(contentDigest('{"hello": "world"}\n')).toBe(
      'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:',
    );
    expect(contentDigest('')).toBe('sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:');
  });
});
