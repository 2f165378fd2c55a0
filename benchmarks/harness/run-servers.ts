import type { RunningServer, ServerStarters } from './suite.ts';

/** A server may hang like a contender; the others are measured all the same. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

export type Servers = Record<string, RunningServer>;

export async function startServers(starters: ServerStarters, into: Servers): Promise<void> {
  for (const [name, start] of Object.entries(starters)) {
    into[name] = await within(START_TIMEOUT_MS, `the start of ${name}`, start());
  }
}

/** One that does not stop is left to end with this process; its figures are good. */
export async function stopServers(servers: Servers): Promise<void> {
  await Promise.all(
    Object.entries(servers).map(([name, server]) =>
      within(STOP_TIMEOUT_MS, `the stop of ${name}`, server.close()).catch((error) =>
        console.error((error as Error).message),
      ),
    ),
  );
}

export function addressesOf(servers: Servers): Record<string, RunningServer['address']> {
  return Object.fromEntries(Object.entries(servers).map(([name, { address }]) => [name, address]));
}

/** What the promise gives, or an error when that takes too long. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T> | T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
