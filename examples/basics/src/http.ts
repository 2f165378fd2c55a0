// Asks a service that sometimes fails for many things at once, over few connections.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpClient } from '@hotpath/http';

let requests = 0;
const server = createServer((request, response) => {
  // Every fifth answer is an overload, which a second attempt gets past.
  if (++requests % 5 === 0) return response.writeHead(503, { 'retry-after': '0' }).end();
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ path: request.url }));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;

const client = createHttpClient({ baseUrl: `http://127.0.0.1:${port}`, connections: 4, timeoutMs: 2_000 });
const paths = Array.from({ length: 20 }, (_, id) => `/items/${id}`);
const results = await client.gather<{ path: string }>(paths, {
  as: 'json',
  concurrency: 8,
});

console.log(`${results.filter(({ status }) => status === 'ok').length} of ${paths.length} succeeded`);
const [first] = results;
if (first?.status === 'ok') console.log(first.value.path);
console.log(`${client.stats().connections.open} connections, ${requests} requests`);

await client.close();
server.close();
