import { describe, expect, it } from 'vitest';
import { createHttpClient } from '../../src/index.ts';
import { echo, failureOf, startHttp, tls } from '../support/servers.ts';
import { startHaproxy, startNginx } from '../support/system-server.ts';

const answer = `return 200 '{"ok":true,"filler":"${'x'.repeat(200)}"}';`;

async function steadyLoad(
  work: () => Promise<unknown>,
  callers: number,
  each: number,
  pauseMs = 0,
): Promise<void> {
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let index = 0; index < each; index++) {
        await work();
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs + caller));
      }
    }),
  );
}

describe('nginx', () => {
  it('closes connections after a few requests, and callers see nothing of it', async () => {
    await using nginx = await startNginx(`keepalive_requests 5; location / { ${answer} }`);
    await using client = createHttpClient({ baseUrl: `http://127.0.0.1:${nginx.port}`, retry: false });
    await steadyLoad(() => client.getJson('/'), 16, 50);
    expect(client.stats().origins[`http://127.0.0.1:${nginx.port}`]).toMatchObject({
      dispatched: 800,
      failures: 0,
    });
  });

  it('closes idle connections unannounced under steady load, and GETs see nothing of it', async () => {
    await using nginx = await startNginx(`keepalive_timeout 100ms; location / { ${answer} }`);
    await using client = createHttpClient({ baseUrl: `http://127.0.0.1:${nginx.port}`, retry: false });
    await steadyLoad(() => client.getJson('/'), 8, 30, 97);
    expect(client.stats().origins[`http://127.0.0.1:${nginx.port}`]).toMatchObject({ failures: 0 });
  });

  it('reloads under load, and GETs see nothing of it', async () => {
    await using nginx = await startNginx(`location / { ${answer} }`);
    await using client = createHttpClient({ baseUrl: `http://127.0.0.1:${nginx.port}` });
    const load = steadyLoad(() => client.getJson('/'), 16, 200, 1);
    for (let reload = 0; reload < 3; reload++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      nginx.signal('SIGHUP');
    }
    await load;
  });

  it('compresses, and answers HEAD, 404 and 304 on one connection', async () => {
    await using nginx = await startNginx(`
      gzip on; gzip_types application/json; gzip_min_length 10;
      location / { ${answer} }
      location /none { return 404; }
      location /same { return 304; }`);
    const baseUrl = `http://127.0.0.1:${nginx.port}`;
    await using client = createHttpClient({ baseUrl });
    expect((await client.get('/')).headers['content-encoding']).toBe('gzip');
    expect(await client.getJson('/')).toMatchObject({ ok: true });
    expect((await client.head('/')).status).toBe(200);
    expect((await failureOf(client.get('/none'))).status).toBe(404);
    expect((await client.get('/same')).status).toBe(304);
    expect(client.stats().origins[baseUrl]?.connects).toBe(1);
  });

  it('sends GOAWAY after a number of requests over HTTP/2, and callers see nothing of it', async () => {
    await using nginx = await startNginx(`keepalive_requests 40; location / { ${answer} }`, { isTls: true });
    const baseUrl = `https://127.0.0.1:${nginx.port}`;
    await using client = createHttpClient({ baseUrl, http2: true, tls: { ca: tls.cert }, retry: false });
    await steadyLoad(() => client.getJson('/'), 32, 25);
    const { connects, failures } = client.stats().origins[baseUrl]!;
    expect(failures).toBe(0);
    expect(connects).toBeGreaterThanOrEqual(20);
  });
});

describe('haproxy', () => {
  it('answers for a server that comes and goes, and GETs come through in the end', async () => {
    let calls = 0;
    await using server = await startHttp((request, response) => {
      // A server that dies under one request in ten.
      if (++calls % 10 === 0) request.socket.destroy();
      else echo(request, response);
    });
    await using haproxy = await startHaproxy(server.port, 'timeout http-keep-alive 50ms\nretries 0');
    const baseUrl = `http://127.0.0.1:${haproxy.port}`;
    await using client = createHttpClient({ baseUrl, retry: { baseMs: 1, attempts: 5 }, breaker: false });
    await steadyLoad(() => client.getJson('/'), 8, 25, 45);
    const deaths = Math.floor(calls / 10);
    expect(deaths).toBeGreaterThanOrEqual(20);
    // A connection that the proxy had reused is closed without an answer, so that the request is replayed at once.
    const { retries, replays } = client.stats().origins[baseUrl]!;
    expect(retries + replays).toBeGreaterThanOrEqual(deaths);
  });

  it('says 503 when its server is gone, which opens the circuit', async () => {
    const server = await startHttp(echo);
    await using haproxy = await startHaproxy(server.port, 'retries 0');
    await using client = createHttpClient({
      baseUrl: `http://127.0.0.1:${haproxy.port}`,
      retry: false,
      breaker: { minimumCalls: 5 },
    });
    expect((await client.get('/')).status).toBe(200);
    await server.close();
    const failures: unknown[] = [];
    for (let index = 0; index < 8; index++) {
      const { status, code } = await failureOf(client.get('/'));
      failures.push(status ?? code);
    }
    // One success and four failures are the five calls that the circuit waits for.
    expect(failures.slice(4)).toEqual(Array.from({ length: 4 }, () => 'HOTPATH_HTTP_CIRCUIT_OPEN'));
    // It gives up without an answer the connection whose server's side was reused.
    for (const failure of failures.slice(0, 4))
      expect([503, 'HOTPATH_HTTP_CONNECTION_LOST']).toContain(failure);
  });
});
