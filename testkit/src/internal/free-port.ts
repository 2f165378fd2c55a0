import { createServer } from 'node:net';

/** Below the range that systems hand to outgoing connections, so that a stopped server finds its port free again. */
const FIRST = 10_000;
const LAST = 22_000;

/** Finds a port on loopback where nobody listens, nor at any of the given distances above it. */
export async function freePort(distances: readonly number[] = [0]): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const free = await Promise.all(distances.map((distance) => isFree(port + distance)));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
