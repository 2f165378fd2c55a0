import { describe, expect, it } from 'vitest';
import { createHttpClient, HTTP_DEFAULTS, type HttpClientOptions } from '../../src/index.ts';
import { resolveHttpClientOptions } from '../../src/options.ts';

describe('options', () => {
  it('have the documented defaults', () => {
    expect(resolveHttpClientOptions()).toMatchObject(HTTP_DEFAULTS);
    expect(HTTP_DEFAULTS).toMatchObject({
      connections: 100,
      keepAliveConnections: 20,
      keepAliveMs: 5_000,
      timeoutMs: 30_000,
    });
    expect(resolveHttpClientOptions().retry?.statuses).toEqual(new Set([408, 429, 502, 503, 504]));
  });

  it('are absent when they are undefined', () => {
    const names = Object.keys(resolveHttpClientOptions()).concat([
      'baseUrl',
      'governance',
      'ssrfGuard',
      'dns',
      'http2',
      'coalesce',
      'tls',
      'dispatcher',
      'hedge',
    ]);
    const known = names.filter((name) => !['baseUrls', 'governanceHash', 'vet'].includes(name));
    const given = Object.fromEntries(known.map((name) => [name, undefined]));
    expect(JSON.stringify(resolveHttpClientOptions(given))).toBe(JSON.stringify(resolveHttpClientOptions()));
  });

  const wrong: [string, HttpClientOptions | Record<string, unknown>, typeof TypeError | typeof RangeError][] =
    [
      ['connections', { connections: 0 }, RangeError],
      ['connections', { connections: '5' }, TypeError],
      ['keepAliveConnections', { keepAliveConnections: -1 }, RangeError],
      ['timeoutMs', { timeoutMs: 0 }, RangeError],
      ['timeoutMs', { timeoutMs: Number.NaN }, TypeError],
      ['baseUrl', { baseUrl: 'nowhere' }, TypeError],
      ['baseUrl', { baseUrl: 'ftp://x' }, TypeError],
      ['baseUrl', { baseUrl: [] }, RangeError],
      ['baseUrl', { baseUrl: 7 }, TypeError],
      ['baseUrl', { baseUrl: 'http://user:password@x' }, TypeError],
      ['baseUrl', { baseUrl: 'http://x/?a=b' }, TypeError],
      ['governance.hash', { governance: { hash: '' } }, TypeError],
      ['governance.hash', { governance: {} }, TypeError],
      ['retry', { retry: { attempts: 0 } }, RangeError],
      ['retry.statuses', { retry: { statuses: [200] } }, TypeError],
      ['ssrfGuard', { ssrfGuard: { allow: ['10.0.0.0/33'] } }, TypeError],
      ['ssrfGuard', { ssrfGuard: 'yes' }, TypeError],
      ['http2', { http2: 'yes' }, TypeError],
      ['dispatcher', { dispatcher: {} }, TypeError],
      ['redirect', { redirect: { max: 0 } }, RangeError],
      ['ssrfGuard', { ssrfGuard: true, dispatcher: { dispatch: () => true } }, TypeError],
      ['headers', { headers: new Headers({ a: 'b' }) }, TypeError],
      ['hedge', { hedge: { delayMs: -1 } }, RangeError],
      // What timers, undici and HTTP/2 could not hold would end the process at the first connection.
      ['keepAliveMs', { keepAliveMs: Number.POSITIVE_INFINITY }, RangeError],
      ['keepAliveMs', { keepAliveMs: 2 ** 31 }, RangeError],
      ['maxHeaderBytes', { maxHeaderBytes: 2 ** 32 }, RangeError],
      ['maxOrigins', { maxOrigins: 1, baseUrl: ['http://a.test', 'http://b.test'] }, RangeError],
      ['tls', { tls: { cert: 'garbage', key: 'garbage' } }, TypeError],
      ['tls', { tls: { ciphers: 'nonsense' } }, TypeError],
      ['rejectUnauthorised', { tls: { rejectUnauthorised: false } }, TypeError],
      ['rejectUnauthorized', { tls: { rejectUnauthorized: 'no' } }, TypeError],
      ['conections', { conections: 5 }, TypeError],
      ['connection', { headers: { Connection: 'close' } }, TypeError],
    ];
  for (const [name, options, kind] of wrong) {
    it(`name '${name}' when it is wrong: ${JSON.stringify(options)}`, () => {
      expect(() => createHttpClient(options as HttpClientOptions)).toThrow(kind);
      expect(() => createHttpClient(options as HttpClientOptions)).toThrow(name);
    });
  }

  it('of the breaker and the limit are checked before the first request', () => {
    expect(() => createHttpClient({ breaker: { failureRatio: 2 } })).toThrow(RangeError);
    expect(() => createHttpClient({ rateLimit: { limit: 0 } })).toThrow(RangeError);
  });
});
