import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, type Dispatcher, fetch, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createConstitution } from '../../src/index.ts';
import { constitutionInterceptor } from '../../src/undici.ts';

const HASH = 'cdd01ef066bc6cf2';
const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
const constitution = createConstitution({ active: WHOLE });

let server: Server;
let origin: string;
let seen: IncomingMessage;
let dispatcher: Dispatcher;

beforeAll(async () => {
  server = createServer((incoming, response) => {
    seen = incoming;
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  dispatcher = new Agent().compose(constitutionInterceptor(constitution));
});
afterAll(async () => {
  await dispatcher.close();
  server.close();
});

const given = {
  accept: 'a/b',
  'X-Constitutional-Hash': 'forged',
  'constitution-fingerprint': 'forged',
  'set-x': ['1', '2'],
};

describe('the undici interceptor', () => {
  it.each([
    ['none', undefined],
    ['an object', given],
    [
      'a flat list',
      Object.entries(given).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one])),
    ],
    ['pairs', new Map(Object.entries(given))],
  ])('stamps a request whose headers are %s, once', async (name, headers) => {
    const response = await request(origin, {
      dispatcher,
      ...(headers === undefined ? {} : { headers: headers as never }),
    });
    await response.body.text();
    expect(seen.headersDistinct['x-constitutional-hash']).toEqual([HASH]);
    expect(seen.headersDistinct['constitution-fingerprint']).toEqual([WHOLE]);
    expect(seen.headersDistinct['set-x']).toEqual(name === 'none' ? undefined : ['1', '2']);
    expect(constitution.checkHeaders(seen.headers)).toBe('ok');
    expect(constitution.checkHeaders(seen.rawHeaders)).toBe('ok');
  });

  it("stamps what fetch sends, and leaves the caller's headers alone", async () => {
    const headers = new Headers({ accept: 'a/b' });
    await (await fetch(origin, { dispatcher, headers: headers as never, method: 'POST', body: '{}' })).text();
    expect(seen.headersDistinct['x-constitutional-hash']).toEqual([HASH]);
    expect(seen.headers.accept).toBe('a/b');
    expect([...headers.keys()]).toEqual(['accept']);
  });

  it('stamps the version that is active when the request goes out', async () => {
    const rotating = createConstitution({ active: 'aaaaaaaaaaaaaaaa' });
    const own = new Agent().compose(constitutionInterceptor(rotating));
    const send = async (): Promise<unknown> => {
      await (await request(origin, { dispatcher: own })).body.text();
      return seen.headers['x-constitutional-hash'];
    };
    expect(await send()).toBe('aaaaaaaaaaaaaaaa');
    rotating.rotate({ to: 'bbbbbbbbbbbbbbbb' });
    expect(await send()).toBe('bbbbbbbbbbbbbbbb');
    expect(seen.headers['constitution-fingerprint']).toBeUndefined();
    rotating.close();
    await own.close();
  });

  it('refuses to be made without a constitution', () => {
    for (const wrong of [{ active: HASH }, { constitution }, HASH, undefined]) {
      const make = () => constitutionInterceptor(wrong as never);
      expect(make).toThrow(TypeError);
      expect(make).toThrow(
        "argument 'constitution' must be what createConstitution made, itself and not in an object",
      );
    }
  });
});
