import { connect, createServer, type Server, type Socket } from 'node:net';
import { type DirectionFaults, FaultPipe } from './internal/fault-pipe.ts';
import { freePort } from './internal/free-port.ts';

/** Which bytes a fault is done to; both when absent. */
export type FaultDirection = 'toServer' | 'toClient';

/** Something that goes wrong between a client and a server. Byte counts start when the fault is set. */
export type Fault = { readonly direction?: FaultDirection } & (
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Connections are accepted and stay open, but nothing is forwarded; what was held goes on when the fault is lifted. */
  | { readonly kind: 'blackHole' }
  /** Connections are reset (RST) after so many bytes. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** So many bytes pass, then this direction is closed (FIN) and the rest is dropped. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** Random bytes pass instead, as many as there were. */
  | { readonly kind: 'garbage' }
  /** So many bytes pass at a time. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly intervalMs: number }
  /** New connections are accepted and closed at once; living ones go on. */
  | { readonly kind: 'dropNew' }
  /** New connections are refused by the system (ECONNREFUSED); living ones go on. */
  | { readonly kind: 'refuse' }
);

/** A TCP proxy that can misbehave. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** How many are open. */
  readonly connections: number;
  /** How many were ever accepted. */
  readonly accepted: number;
  /** Puts these faults, and no others, in force for living and new connections; without any, all is well again. */
  setFault(...faults: readonly Fault[]): Promise<void>;
  /** Resets (RST) every living connection, on both sides. */
  reset(): void;
  close(): Promise<void>;
}

/** Where a {@link FaultProxy} leads to. */
export interface StartFaultProxyOptions {
  readonly host?: string;
  readonly port: number;
}

/** Starts a proxy on loopback in this process that forwards to the given server. */
export async function startFaultProxy({
  host = '127.0.0.1',
  port: serverPort,
}: StartFaultProxyOptions): Promise<FaultProxy> {
  const connections = new Set<ProxiedConnection>();
  let accepted = 0;
  let faults: readonly Fault[] = [];
  const has = (kind: Fault['kind']): boolean => faults.some((fault) => fault.kind === kind);
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted++;
    if (has('dropNew')) {
      client.on('error', () => {});
      client.destroy();
      return;
    }
    const connection = new ProxiedConnection(client, host, serverPort, () => connections.delete(connection));
    connections.add(connection);
    connection.setFaults(faults);
  });
  const port = await freePort();
  await listen(server, port);

  const stopListening = (): Promise<void> =>
    new Promise((resolve) => {
      // Its callback waits for living connections; the port is free at once.
      server.close();
      setImmediate(resolve);
    });
  const close = async (): Promise<void> => {
    if (server.listening) await stopListening();
    for (const connection of connections) connection.destroy();
  };
  return {
    host: '127.0.0.1',
    port,
    get connections() {
      return connections.size;
    },
    get accepted() {
      return accepted;
    },
    async setFault(...next) {
      faults = next;
      if (has('refuse') && server.listening) await stopListening();
      if (!has('refuse') && !server.listening) await listen(server, port);
      for (const connection of connections) connection.setFaults(faults);
    },
    reset() {
      for (const connection of connections) connection.reset();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

class ProxiedConnection {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: FaultPipe;
  readonly #toClient: FaultPipe;
  readonly #onClose: () => void;
  #faults: readonly Fault[] = [];
  readonly #gone = new Set<FaultDirection>();

  constructor(client: Socket, host: string, port: number, onClose: () => void) {
    this.#client = client;
    this.#server = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#onClose = onClose;
    const reset = (): void => this.reset();
    this.#toServer = new FaultPipe(client, this.#server, reset);
    this.#toClient = new FaultPipe(this.#server, client, reset);
    this.#watch(client, 'toServer');
    this.#watch(this.#server, 'toClient');
  }

  #watch(socket: Socket, direction: FaultDirection): void {
    let failed = false;
    socket.on('error', () => {
      failed = true;
    });
    socket.on('close', () => {
      if (this.#isSwallowed(direction)) this.#gone.add(direction);
      else if (failed) this.reset();
      else this.destroy();
    });
  }

  /** In a black hole the other side does not learn that this one is gone. */
  #isSwallowed(direction: FaultDirection): boolean {
    return faultsOf(this.#faults, direction).blackHole === true;
  }

  setFaults(faults: readonly Fault[]): void {
    this.#faults = faults;
    for (const direction of this.#gone) {
      if (!this.#isSwallowed(direction)) this.reset();
    }
    this.#toServer.setFaults(faultsOf(faults, 'toServer'));
    this.#toClient.setFaults(faultsOf(faults, 'toClient'));
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
    this.#closed();
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
    this.#closed();
  }

  #closed(): void {
    this.#toServer.close();
    this.#toClient.close();
    this.#onClose();
  }
}

function faultsOf(faults: readonly Fault[], direction: FaultDirection): DirectionFaults {
  const result: DirectionFaults = {};
  for (const fault of faults) {
    if (fault.direction !== undefined && fault.direction !== direction) continue;
    if (fault.kind === 'delay') result.delayMs = fault.delayMs;
    if (fault.kind === 'blackHole') result.blackHole = true;
    if (fault.kind === 'reset') result.resetAfterBytes = fault.afterBytes;
    if (fault.kind === 'truncate') result.endAfterBytes = fault.afterBytes;
    if (fault.kind === 'garbage') result.garbage = true;
    if (fault.kind === 'drip') result.drip = { bytes: fault.bytes, intervalMs: fault.intervalMs };
  }
  return result;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}
