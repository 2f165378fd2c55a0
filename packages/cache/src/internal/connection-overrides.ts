import { exponentialBackoff } from '@hotpath/resilience';

/** A connection that is silent, or not ready, for this long is dropped and made anew. */
export const RECONNECT_AFTER_MS = 1_000;

/** Options that make an ioredis connection fail at once instead of waiting, queueing and repeating. */
export function connectionOverrides(purpose: string): object {
  const backoff = exponentialBackoff({ baseMs: 50, maxMs: 400, jitter: 'equal' });
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    enableAutoPipelining: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    commandTimeout: undefined,
    socketTimeout: undefined,
    reconnectOnError: null,
    monitor: false,
    readOnly: false,
    keyPrefix: '',
    stringNumbers: false,
    replyMapping: 'legacy',
    connectTimeout: RECONNECT_AFTER_MS,
    disconnectTimeout: 50,
    connectionName: `hotpath-cache-${purpose}`,
    retryStrategy: backoff,
    sentinelRetryStrategy: backoff,
    sentinelReconnectStrategy: backoff,
  };
}
