// The same over HTTP/2 and TLS.
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { policyBody } from './policy.ts';

const directory = new URL('../../packages/http/test/support/', import.meta.url);
const server = createSecureServer({
  key: readFileSync(new URL('key.pem', directory)),
  cert: readFileSync(new URL('cert.pem', directory)),
});
const body = Buffer.from(policyBody);
server.on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': body.length });
  stream.end(body);
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.send?.({ port, url: `https://127.0.0.1:${port}` });
});
