import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Redis } from 'ioredis';

const PROBE_TIMEOUT_MS = 2_000;
const STATE_CHANGES = 'hotpath:cache:state-change';
/** Both caches use one server, and would both tell. */
const TELLING = 'policy@';

/** Tells the operator why the given Redis can't be used at the start, and when it goes and comes later. */
export function reportRedis(redisUrl: string): AsyncDisposable {
  const onChange = (message: unknown): void => {
    const { namespace, state } = message as { readonly namespace: string; readonly state: string };
    if (!namespace.startsWith(TELLING)) return;
    console.error(state === 'up' ? 'Redis is in use' : 'Redis is away: values are cached in memory only');
  };
  subscribe(STATE_CHANGES, onChange);
  const probe = new Redis(redisUrl, {
    lazyConnect: true,
    connectTimeout: PROBE_TIMEOUT_MS,
    commandTimeout: PROBE_TIMEOUT_MS,
    retryStrategy: () => null,
  });
  let closed = false;
  void whyNot(probe).then((reason) => {
    if (reason === undefined || closed) return;
    console.error(`Redis can't be used yet: ${reason}; is REDIS_URL right? Values are cached in memory only`);
  });
  return {
    [Symbol.asyncDispose]: async () => {
      closed = true;
      unsubscribe(STATE_CHANGES, onChange);
      probe.disconnect();
    },
  };
}

/** What keeps a Redis from answering; undefined when it does. */
async function whyNot(redis: Redis): Promise<string | undefined> {
  let first: Error | undefined;
  redis.on('error', (error) => {
    first ??= error;
  });
  try {
    await redis.connect();
    await redis.ping();
    return undefined;
  } catch (error) {
    return (first ?? (error as Error)).message;
  } finally {
    redis.disconnect();
  }
}
