import { connect, type Socket } from 'node:net';
import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, HASH, type ServiceProcess, startServiceProcess } from '../service-process.ts';

let postgres: PostgresServer;
let service: ServiceProcess;

beforeAll(async () => {
  postgres = await startPostgres();
  service = await startServiceProcess({ DATABASE_URL: postgres.connectionString, SEED_POLICIES: '100' });
  await service.printed('Ready');
});

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const HASH_LINE = `X-Constitutional-Hash: ${HASH}\r\n`;

/** Sends bytes as they are, and what `more` sends; resolves with all that comes until the service closes the connection. */
function exchange(
  text: string,
  more: (socket: Socket) => unknown = () => {},
  patienceMs = 10_000,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1', () => {
      socket.write(text);
      more(socket);
    });
    socket.setTimeout(patienceMs, () =>
      socket.destroy(new Error(`nothing came any more after: ${received}`)),
    );
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}

const get = (path: string, lines = HASH_LINE): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`;

function send(path: string, body: string, contentType = 'application/json'): ReturnType<typeof ask> {
  const headers = { 'x-constitutional-hash': HASH, 'content-type': contentType };
  return ask(`${service.url}${path}`, { method: 'POST', headers, body });
}

const policy = (fields: string): string =>
  `{"policies":[{"id":1,"name":"n","version":1,"status":"active","description":"d",${fields}}]}`;
const decision = (fields: string): string => `{"policyId":1,"action":"a",${fields}}`;

describe('what is not well-formed HTTP', () => {
  const cases: [what: string, text: string, status: number, code: string][] = [
    ['garbage', 'GARBAGE\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['an unknown method', 'BREW /v1/policies HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    [
      'a chunk without a size',
      `POST /v1/policies HTTP/1.1\r\nHost: x\r\n${HASH_LINE}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n`,
      400,
      'MALFORMED_REQUEST',
    ],
    [
      'two lengths of one body',
      'POST /v1/policies HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'MALFORMED_REQUEST',
    ],
    ['a huge header', get('/v1/policies', `X-A: ${'a'.repeat(20_000)}\r\n`), 431, 'HEADER_TOO_LARGE'],
    ['a huge query', get(`/v1/policies?q=${'a'.repeat(20_000)}`), 431, 'HEADER_TOO_LARGE'],
    ['a path that is not UTF-8', get('/v1/policies/%ff'), 400, 'FST_ERR_BAD_URL'],
    ['a huge parameter', get(`/v1/policies/${'1'.repeat(200)}`), 414, 'FST_ERR_MAX_PARAM_LENGTH'],
  ];
  for (const [what, text, status, code] of cases) {
    it(`${what} is answered with ${status} and ${code}, in the form of every other error`, async () => {
      const answer = await exchange(text);
      expect(answer.split(' ')[1]).toBe(String(status));
      expect(answer).toMatch(/content-type: application\/json/i);
      const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));
      expect(error).toMatchObject({ code, message: expect.stringMatching(/.{10}/) });
      expect(answer).not.toMatch(/node_modules|\.ts|\.js/);
    });
  }
});

describe('bodies', () => {
  const brackets = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const invalid: [what: string, field: string, path: string, body: string][] = [
    ['__proto__', 'body', '/v1/decisions', '{"__proto__":{"policyId":1},"action":"a","subject":"s"}'],
    ['constructor', 'body', '/v1/decisions', decision('"subject":"s","constructor":{"prototype":{}}')],
    ['null', 'body', '/v1/decisions', 'null'],
    ['nothing', 'body', '/v1/decisions', ''],
    ['a whole number beyond 32 bits', 'policyId', '/v1/decisions', '{"policyId":2147483648}'],
    ['a number beyond all', 'policyId', '/v1/decisions', '{"policyId":1e400}'],
    ['minus zero', 'policyId', '/v1/decisions', '{"policyId":-0}'],
    ['half a surrogate pair', 'subject', '/v1/decisions', decision('"subject":"\\ud800"')],
    ['NUL', 'subject', '/v1/decisions', decision('"subject":"a\\u0000"')],
    [
      'nesting without end',
      'policies[0].metadata',
      '/v1/policies',
      policy(`"metadata":{"a":${brackets(500_000)}}`),
    ],
    ['33 levels', 'policies[0].metadata', '/v1/policies', policy(`"metadata":{"a":${brackets(32)}}`)],
    ['half a pair inside', 'policies[0].metadata', '/v1/policies', policy('"metadata":{"a":["\\udfff"]}')],
    ['NUL in a key', 'policies[0].metadata', '/v1/policies', policy('"metadata":{"a\\u0000":1}')],
    ['infinity inside', 'policies[0].metadata', '/v1/policies', policy('"metadata":{"a":1e400}')],
  ];
  for (const [what, field, path, body] of invalid) {
    it(`${what} in ${field} is answered with 400`, async () => {
      const answer = await send(path, body);
      expect([answer.status, answer.body.error.field], answer.text).toEqual([400, field]);
    });
  }

  it('what looks like an escape, and 32 levels, are kept as they are', async () => {
    const metadata = {
      constitutional_hash: HASH,
      pattern: '\\u0000',
      deep: JSON.parse(brackets(31)),
      '💩': -1e-7,
    };
    const written = await send('/v1/policies', policy(`"metadata":${JSON.stringify(metadata)}`));
    expect(written.status, written.text).toBe(200);
    expect((await ask(`${service.url}/v1/policies/1`)).body.metadata).toEqual(metadata);
  });

  for (const contentType of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded']) {
    it(`${contentType} is answered with 415`, async () => {
      const answer = await send('/v1/decisions', decision('"subject":"s"'), contentType);
      expect([answer.status, answer.body.error.code]).toEqual([415, 'FST_ERR_CTP_INVALID_MEDIA_TYPE']);
    });
  }

  it('more than 2 MB is answered with 413', async () => {
    const answer = await send('/v1/policies', ' '.repeat(2 * 1024 * 1024 + 1));
    expect([answer.status, answer.body.error.code]).toEqual([413, 'FST_ERR_CTP_BODY_TOO_LARGE']);
  });

  it('more than 2 MB is answered with 413 to a client that reads no answer before it has sent all, or never sends all', async () => {
    const rest = Buffer.alloc(16 * 1024 * 1024, ' ');
    const head = `POST /v1/policies HTTP/1.1\r\nHost: x\r\n${HASH_LINE}Content-Type: application/json\r\n`;
    for (const [length, body] of [
      [`Content-Length: ${rest.length}`, rest],
      ['Transfer-Encoding: chunked', `${rest.length.toString(16)}\r\n${rest}\r\n0\r\n\r\n`],
      [`Content-Length: ${rest.length}`, 'not whole'],
    ] as const) {
      const answer = await exchange(`${head}${length}\r\n\r\n`, (socket) => {
        socket.pause();
        socket.write(body, () => socket.resume());
      });
      expect(answer).toMatch(/^HTTP\/1.1 413 /);
      expect(answer).toContain('FST_ERR_CTP_BODY_TOO_LARGE');
    }
  });

  it('of two policies with one id in a body, the last counts', async () => {
    const both = ['first', 'last'].map((name) => ({
      ...{ id: 700, name, version: 1, status: 'active', description: 'd' },
      metadata: { constitutional_hash: HASH },
    }));
    expect((await send('/v1/policies', JSON.stringify({ policies: both }))).status).toBe(200);
    expect((await ask(`${service.url}/v1/policies/700`)).body.name).toBe('last');
  });

  it('repeats no more than a piece of an unknown name', async () => {
    const answer = await send('/v1/decisions', JSON.stringify({ ['k'.repeat(100_000)]: 1 }));
    expect(answer.status).toBe(400);
    expect(answer.text.length).toBeLessThan(1_000);
  });
});

describe('searches', () => {
  const words = [
    "'",
    "' or 1=1 --",
    '& | !',
    '"open',
    ':*',
    '<->',
    '\\',
    '💩',
    '((((',
    '-',
    'the',
    '%',
    '\ud7ff',
  ];
  for (const q of words) {
    it(`${JSON.stringify(q)} is a search like any other`, async () => {
      const answer = await ask(`${service.url}/v1/policies?q=${encodeURIComponent(q)}`);
      expect([answer.status, answer.body.total], answer.text).toEqual([200, 0]);
    });
  }

  it('fields of every object are no filters', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      const answer = await ask(`${service.url}/v1/policies?${name}=1`);
      expect([answer.status, answer.body.error.field]).toEqual([400, name]);
    }
  });

  it('the last page that may be asked is empty', async () => {
    const answer = await ask(`${service.url}/v1/policies?page=100000`);
    expect([answer.status, answer.body.policies]).toEqual([200, []]);
  });
});

describe('the hash', () => {
  it('twice in the header is refused, in whatever case the name is', async () => {
    expect(await exchange(get('/v1/policies/2', HASH_LINE + HASH_LINE))).toMatch(/^HTTP\/1.1 403 /);
    expect(await exchange(get('/v1/policies/2', `x-CONSTITUTIONAL-hash: ${HASH}\r\n`))).toMatch(
      /^HTTP\/1.1 200 /,
    );
  });

  for (const [inHeader, inBody] of [
    [HASH, '0000000000000000'],
    ['0000000000000000', HASH],
  ] as const) {
    it(`${inHeader} in the header and ${inBody} in the body are refused`, async () => {
      const answer = await ask(`${service.url}/v1/decisions`, {
        method: 'POST',
        headers: { 'x-constitutional-hash': inHeader },
        body: decision(`"subject":"s","constitutional_hash":"${inBody}"`),
      });
      expect(answer.status).toBe(403);
      expect(answer.text).not.toContain(HASH);
    });
  }
});

it('pipelined requests are answered in order', async () => {
  const open = (id: number): string => get(`/v1/policies/${id}`).replace('Connection: close\r\n', '');
  const answers = await exchange(open(3) + open(9_999_999) + open(4) + get('/v1/policies/5'));
  expect([...answers.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status)).toEqual([
    '200',
    '404',
    '200',
    '200',
  ]);
  expect([...answers.matchAll(/"id":(\d+)/g)].map(([, id]) => id)).toEqual(['3', '4', '5']);
});

it('a subject can not lead to another evidence endpoint', async () => {
  for (const subject of ['.', '..', '../ownership/x', '?subject=y', '#', '%', '%2e%2e', 'a\r\nb: c', '💩']) {
    const answer = await send('/v1/decisions', decision(`"subject":${JSON.stringify(subject)}`));
    expect([answer.status, answer.body.subject, answer.body.degraded], answer.text).toEqual([
      201,
      subject,
      false,
    ]);
  }
});

it('a request that does not arrive whole within 30 s is answered with 408, be it the head or the body that is missing', async () => {
  const head = `POST /v1/decisions HTTP/1.1\r\nHost: x\r\n${HASH_LINE}Content-Type: application/json\r\n`;
  const startedMs = performance.now();
  const answers = await Promise.all(
    [head, `${head}Content-Length: 100\r\n\r\n{"pol`].map((text) => exchange(text, () => {}, 45_000)),
  );
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 408 .*REQUEST_TIMEOUT/s);
  // The service looks every 2 s, and the machine may be busy.
  expect(performance.now() - startedMs).toBeLessThan(40_000);
});

it('clients that leave in the middle do no harm', async () => {
  const port = Number(new URL(service.url).port);
  const head = `POST /v1/decisions HTTP/1.1\r\nHost: x\r\n${HASH_LINE}Content-Type: application/json\r\nContent-Length: `;
  const whole = decision('"subject":"s"');
  const texts = [`${head}1000\r\n\r\n{"pol`, `${head}${whole.length}\r\n\r\n${whole}`, 'GET /v1/pol'];
  await Promise.all(
    Array.from(
      { length: 150 },
      (_, index) =>
        new Promise<void>((resolve) => {
          const socket = connect(port, '127.0.0.1', () =>
            socket.write(texts[index % 3] as string, () => socket.resetAndDestroy()),
          );
          socket.on('error', () => {});
          socket.on('close', () => resolve());
        }),
    ),
  );
  expect((await send('/v1/decisions', whole)).status).toBe(201);
  expect(service.output()).not.toMatch(/failed|error/i);
});
