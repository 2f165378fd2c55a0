import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpClient } from '@hotpath/http';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createEvidenceSource, type EvidenceSource } from '../../src/evidence.ts';

const TIMEOUT_MS = 300;
const good = (response: ServerResponse): unknown => response.end('{"score":0.25}');
const faults: Record<string, (response: ServerResponse) => unknown> = {
  'never answers': () => {},
  'answers 500': (response) => response.writeHead(500).end('{}'),
  'answers garbage': (response) => response.end('<html>'),
  'answers another shape': (response) => response.end('{"score":"high"}'),
  'answers null': (response) => response.end('null'),
  'resets the connection': (response) => response.socket?.resetAndDestroy(),
  'stops in the middle': (response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"sco');
  },
};

let behaviour: (response: ServerResponse) => unknown = good;
let asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url as string);
  if (request.url?.startsWith('/evidence/history?')) behaviour(response);
  else good(response);
});
let client: ReturnType<typeof createHttpClient>;
let source: EvidenceSource;

beforeEach(async () => {
  asked = [];
  behaviour = good;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = createHttpClient({ baseUrl, breaker: false });
  source = createEvidenceSource(client, TIMEOUT_MS);
});

afterEach(async () => {
  await source[Symbol.asyncDispose]();
  await client.close({ drainMs: 0 });
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
});

it('asks for every kind at once, with the subject escaped', async () => {
  const findings = await source.about('a/b c');
  expect(findings).toEqual({
    risk: { status: 'ok', score: 0.25 },
    history: { status: 'ok', score: 0.25 },
    ownership: { status: 'ok', score: 0.25 },
  });
  expect(asked.sort()).toEqual([
    '/evidence/history?subject=a%2Fb%20c',
    '/evidence/ownership?subject=a%2Fb%20c',
    '/evidence/risk?subject=a%2Fb%20c',
  ]);
});

for (const [what, fault] of Object.entries(faults)) {
  it(`one endpoint that ${what} costs that piece of evidence alone, within the deadline`, async () => {
    behaviour = fault;
    const startedMs = performance.now();
    const findings = await source.about('s');
    // Far from the client's own 30 s, with room for a busy machine.
    expect(performance.now() - startedMs).toBeLessThan(5 * TIMEOUT_MS);
    expect(findings.risk).toEqual({ status: 'ok', score: 0.25 });
    expect(findings.ownership).toEqual({ status: 'ok', score: 0.25 });
    expect(findings.history).toMatchObject({
      status: 'unavailable',
      code: expect.stringMatching(/^[A-Z_]{6,}$/),
    });
  });
}

it('stops asking an endpoint that keeps failing, and goes on asking the others', async () => {
  behaviour = faults['answers 500'] as (response: ServerResponse) => unknown;
  for (let round = 0; round < 30; round++) await source.about('s');
  expect(source.circuits()).toEqual({ risk: 'closed', history: 'open', ownership: 'closed' });
  asked = [];
  const findings = await source.about('s');
  expect(findings.history).toEqual({ status: 'unavailable', code: 'HOTPATH_CIRCUIT_OPEN' });
  expect(asked.filter((url) => url.includes('history'))).toEqual([]);
  expect(findings.risk.status).toBe('ok');
});
