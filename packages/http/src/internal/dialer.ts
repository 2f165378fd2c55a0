import { isIP, type Socket } from 'node:net';
import type { Milliseconds, TimerWheel } from '@hotpath/core';
import { buildConnector } from 'undici';
import type { HttpTlsOptions } from '../options.ts';
import type { AddressBook, HostAddress } from './address-book.ts';
import { CallbackTimer } from './callback-timer.ts';
import type { Connection } from './connection.ts';
import type { OriginPool } from './origin-pool.ts';

/** Connecting took longer than it may. */
export class ConnectTimeout extends Error {
  constructor(timeoutMs: Milliseconds) {
    super(`no connection within ${timeoutMs} ms`);
  }
}

export interface DialerOptions {
  readonly connectTimeoutMs: Milliseconds;
  readonly tls: HttpTlsOptions;
  readonly addresses: AddressBook;
  /** Throws when an address may not be connected to. */
  readonly vet: (addresses: readonly HostAddress[], hostname: string) => void;
  /** Whether HTTP/2 may be spoken with an origin. */
  readonly speaksHttp2: (origin: OriginPool) => boolean;
  readonly wheel: TimerWheel;
  /** Makes a connection of a connected socket; calls back once. */
  readonly wrap: (
    origin: OriginPool,
    socket: Socket,
    callback: (error: unknown, connection: Connection | undefined) => void,
  ) => void;
}

/**
 * Opens sockets: resolves, vets every address, connects, and verifies TLS, all within one time.
 *
 * Verification is part of the options of this client; `NODE_TLS_REJECT_UNAUTHORIZED` does not change it.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #connectH1: buildConnector.connector;
  readonly #connectH2: buildConnector.connector;
  readonly #connecting = new Set<Socket>();

  constructor(options: DialerOptions) {
    this.#options = options;
    const common: buildConnector.BuildOptions = {
      ...(options.tls as object),
      // Said in any case: the platform takes what is left out from the environment.
      rejectUnauthorized: options.tls.rejectUnauthorized ?? true,
      lookup: options.addresses.lookup(options.vet),
      autoSelectFamily: true,
      // The connector's own timer is off: it rounds up, and does not cover all of the way.
      timeout: 0,
    };
    this.#connectH1 = buildConnector({ ...common, allowH2: false });
    this.#connectH2 = buildConnector({ ...common, allowH2: true, preferH2: true });
  }

  dial(origin: OriginPool, callback: (error: unknown, connection: Connection | undefined) => void): void {
    const { wheel, connectTimeoutMs, wrap, vet, speaksHttp2 } = this.#options;
    const { hostname: bracketed, host, port, protocol } = origin.url;
    const hostname = bracketed.startsWith('[') ? bracketed.slice(1, -1) : bracketed;
    const family = isIP(hostname);
    try {
      // A literal never reaches the look-up.
      if (family !== 0) vet([{ address: hostname, family: family as 4 | 6 }], hostname);
    } catch (error) {
      queueMicrotask(() => callback(error, undefined));
      return;
    }
    let settled = false;
    let opening: Socket | undefined;
    const settle = (error: unknown, connection: Connection | undefined): void => {
      if (settled) return;
      settled = true;
      wheel.disarm(timer);
      if (opening !== undefined) this.#connecting.delete(opening);
      if (connection === undefined) opening?.destroy();
      callback(error, connection);
    };
    const onSocket = (socket: Socket): void => {
      const { remoteAddress } = socket;
      try {
        if (remoteAddress !== undefined) {
          vet([{ address: remoteAddress, family: isIP(remoteAddress) as 4 | 6 }], hostname);
        }
        wrap(origin, socket, settle);
      } catch (error) {
        settle(error, undefined);
      }
    };
    // Not the platform's timer: after a busy turn that one fires early.
    const timer = new CallbackTimer(() => settle(new ConnectTimeout(connectTimeoutMs), undefined));
    wheel.arm(timer, connectTimeoutMs);
    const connect = speaksHttp2(origin) ? this.#connectH2 : this.#connectH1;
    try {
      opening = connect({ hostname, host, protocol, port }, (error, socket) => {
        if (error !== null || socket === null) settle(error, undefined);
        else if (settled) socket.destroy();
        else onSocket(socket);
      }) as unknown as Socket | undefined;
    } catch (error) {
      // The platform throws when it can't even begin.
      queueMicrotask(() => settle(error, undefined));
    }
    if (opening !== undefined && !settled) this.#connecting.add(opening);
  }

  /** Gives up the sockets that are being opened. */
  abort(): void {
    for (const socket of this.#connecting) socket.destroy(new Error('the client is closed'));
  }
}
