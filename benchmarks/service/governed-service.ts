import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawnNode } from '@hotpath/testkit';
import { SERVER_FLAGS, type ServerAddress, type ServerStarter } from '../harness/index.ts';

const main = fileURLToPath(new URL('../../examples/governed-service/src/main.ts', import.meta.url));
const READY_TIMEOUT_MS = 60_000;

/** Where a server of this suite is. */
export interface Service extends ServerAddress {
  readonly pid: number;
}

/** The reference service as it is started by its users, on its embedded servers, with a limit that it does not reach. */
export function governedService(): ServerStarter<Service> {
  return async () => {
    const child = spawnNode(main, [], {
      env: {
        PORT: '0',
        RATE_LIMIT_PER_SECOND: '1000000',
        DATABASE_URL: undefined,
        REDIS_URL: undefined,
        NODE_ENV: 'production',
      },
      nodeArgs: SERVER_FLAGS,
    });
    let ended = false;
    void child.exited.then(() => {
      ended = true;
    });
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!child.stdout.includes('Ready')) {
      if (ended || performance.now() > deadlineMs) {
        await child.kill();
        throw new Error(`the service did not start\n${child.stdout}${child.stderr}`);
      }
      await delay(20);
    }
    const url = /listens on (http:\S+)/.exec(child.stdout)?.[1] as string;
    const { hostname: host, port } = new URL(url);
    return {
      address: { host, port: Number(port), url, pid: child.pid },
      // In an orderly way, so that its own servers are stopped as well.
      close: () => child.kill('SIGTERM'),
    };
  };
}
