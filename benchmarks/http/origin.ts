// What every contender asks: 208 bytes of JSON over HTTP/1.1; `/slow` answers after five seconds.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { policyBody } from './policy.ts';

const body = Buffer.from(policyBody);
const server = createServer((request, response) => {
  const answer = (): void => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  };
  if (request.url === '/slow') setTimeout(answer, 5_000);
  else answer();
});
server.keepAliveTimeout = 65_000;
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () =>
  process.send?.({ port: (server.address() as AddressInfo).port }),
);
