import type { Duplex } from 'node:stream';

/** The part of an ioredis connection that the cache uses. */
export interface RedisConnection {
  readonly status: string;
  /** The socket; there is one while the connection is ready. */
  readonly stream: Duplex;
  connect(): Promise<unknown>;
  /** `true`: drop this connection and make a new one. */
  disconnect(reconnect?: boolean): void;
  call(command: string, ...args: (string | number | Buffer)[]): Promise<unknown>;
  callBuffer(command: string, ...args: (string | number | Buffer)[]): Promise<unknown>;
  subscribe(...channels: string[]): Promise<unknown>;
  ssubscribe(...channels: string[]): Promise<unknown>;
  ping(): Promise<unknown>;
  on(event: string, listener: (...args: never[]) => void): unknown;
}

/** The part of an ioredis client that the cache needs: it takes its options from it, and nothing else. */
export interface RedisClient {
  readonly options: object;
  duplicate(override?: object): RedisConnection;
}

/** The part of an ioredis cluster that the cache needs: it learns from it where to begin. */
export interface RedisClusterClient {
  readonly isCluster: boolean;
  nodes(role?: 'all' | 'master' | 'slave'): readonly RedisClient[];
  /** Asked for where the client itself is not connected: one of our own, which only finds the nodes. */
  duplicate(startupNodes: never[], override: object): RedisClusterScout;
}

/** A cluster client that is connected to learn of the nodes, and disconnected again. */
export interface RedisClusterScout {
  connect(): Promise<unknown>;
  disconnect(): void;
  nodes(role?: 'all'): readonly RedisClient[];
  on(event: 'error', listener: () => void): unknown;
}
