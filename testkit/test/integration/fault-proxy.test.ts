import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../src/index.ts';

let server: Server;
let serverSockets: Socket[];
let proxy: FaultProxy;
let opened: Socket[];

beforeEach(async () => {
  serverSockets = [];
  opened = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    serverSockets.push(socket);
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startFaultProxy({ port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  for (const socket of [...opened, ...serverSockets]) socket.destroy();
  await proxy.close();
  server.close();
});

class Caller {
  readonly socket: Socket = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true });
  received: Buffer = Buffer.alloc(0);
  ended = false;
  errorCode: string | undefined;
  readonly #changed = new Set<() => void>();

  constructor() {
    opened.push(this.socket);
    const changed = (): void => {
      for (const listener of this.#changed) listener();
    };
    this.socket.on('data', (data) => {
      this.received = Buffer.concat([this.received, data]);
      changed();
    });
    this.socket.on('end', () => {
      this.ended = true;
      changed();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code;
    });
    this.socket.on('close', changed);
  }

  async until(isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    await new Promise<void>((resolve) => {
      const listener = (): void => {
        if (!isDone()) return;
        this.#changed.delete(listener);
        resolve();
      };
      this.#changed.add(listener);
    });
  }

  async echo(text: string): Promise<number> {
    const startedMs = performance.now();
    const size = this.received.length + text.length;
    this.socket.write(text);
    await this.until(() => this.received.length >= size || this.socket.closed);
    return performance.now() - startedMs;
  }

  /** Whether nothing comes for a while. */
  async isSilent(forMs = 100): Promise<boolean> {
    const before = this.received.length;
    await new Promise((resolve) => setTimeout(resolve, forMs));
    return this.received.length === before && !this.ended && !this.socket.closed;
  }
}

test('without a fault all bytes pass both ways, and ends pass as ends', async () => {
  const caller = new Caller();
  const text = 'x'.repeat(3_000_000);
  await caller.echo(text);
  expect(caller.received.toString()).toBe(text);
  expect(proxy.connections).toBe(1);
  caller.socket.end();
  await caller.until(() => caller.ended);
  await caller.until(() => caller.socket.closed);
  expect(caller.errorCode).toBeUndefined();
  expect(proxy.accepted).toBe(1);
});

test('a delay holds each direction for its time, on living connections too', async () => {
  const caller = new Caller();
  await caller.echo('warm');
  await proxy.setFault({ kind: 'delay', delayMs: 60 });
  const fastest = async (text: string): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) times.push(await caller.echo(text));
    return Math.min(...times);
  };
  const bothMs = await fastest('both');
  expect(bothMs).toBeGreaterThanOrEqual(119);
  await proxy.setFault({ kind: 'delay', delayMs: 60, direction: 'toServer' });
  const oneMs = await fastest('one');
  expect(oneMs).toBeGreaterThanOrEqual(59);
  // The other direction is not delayed any more.
  expect(oneMs).toBeLessThan(bothMs - 30);
  expect(caller.received.toString()).toBe(`warm${'both'.repeat(5)}${'one'.repeat(5)}`);
});

test('a black hole swallows all, accepts new connections, and gives what it held when lifted', async () => {
  const old = new Caller();
  await old.echo('warm');
  await proxy.setFault({ kind: 'blackHole' });
  const fresh = new Caller();
  await once(fresh.socket, 'connect');
  old.socket.write('held');
  fresh.socket.write('held');
  expect(await old.isSilent()).toBe(true);
  expect(await fresh.isSilent(0)).toBe(true);
  await proxy.setFault();
  await old.until(() => old.received.toString() === 'warmheld');
  await fresh.until(() => fresh.received.toString() === 'held');
});

test('in a black hole the client does not learn that the server is gone', async () => {
  const caller = new Caller();
  await caller.echo('warm');
  await proxy.setFault({ kind: 'blackHole' });
  serverSockets[0]?.resetAndDestroy();
  expect(await caller.isSilent()).toBe(true);
  await proxy.setFault();
  await caller.until(() => caller.socket.closed);
  expect(caller.errorCode).toBe('ECONNRESET');
});

test('a black hole in one direction lets the other pass', async () => {
  const caller = new Caller();
  await caller.echo('warm');
  await proxy.setFault({ kind: 'blackHole', direction: 'toClient' });
  const arrived = once(serverSockets[0] as Socket, 'data');
  caller.socket.write('on its way');
  expect(String((await arrived)[0])).toBe('on its way');
  expect(await caller.isSilent()).toBe(true);
});

test('a reset comes after exactly so many bytes', async () => {
  const caller = new Caller();
  await caller.echo('warm');
  await proxy.setFault({ kind: 'reset', afterBytes: 3, direction: 'toClient' });
  await caller.echo('abcdef');
  await caller.until(() => caller.socket.closed);
  expect(caller.received.toString()).toBe('warmabc');
  expect(caller.errorCode).toBe('ECONNRESET');
  expect(proxy.connections).toBe(0);
});

test('a reset after no byte comes with the first one', async () => {
  const caller = new Caller();
  await proxy.setFault({ kind: 'reset', afterBytes: 0, direction: 'toServer' });
  caller.socket.write('a');
  await caller.until(() => caller.socket.closed);
  expect(caller.errorCode).toBe('ECONNRESET');
});

test('a truncated answer ends after exactly so many bytes, without an error', async () => {
  const caller = new Caller();
  await proxy.setFault({ kind: 'truncate', afterBytes: 4, direction: 'toClient' });
  caller.socket.write('abcdef');
  await caller.until(() => caller.ended);
  expect(caller.received.toString()).toBe('abcd');
  expect(caller.errorCode).toBeUndefined();
});

test('garbage has the length of what it replaces', async () => {
  const caller = new Caller();
  await proxy.setFault({ kind: 'garbage', direction: 'toClient' });
  const text = 'x'.repeat(100);
  await caller.echo(text);
  expect(caller.received).toHaveLength(100);
  expect(caller.received.toString()).not.toBe(text);
});

test('a drip lets so many bytes pass at a time', async () => {
  const caller = new Caller();
  await proxy.setFault({ kind: 'drip', bytes: 2, intervalMs: 20, direction: 'toClient' });
  const elapsedMs = await caller.echo('0123456789');
  expect(caller.received.toString()).toBe('0123456789');
  expect(elapsedMs).toBeGreaterThanOrEqual(78);
});

test('a fault may be combined with another', async () => {
  const caller = new Caller();
  await proxy.setFault(
    { kind: 'delay', delayMs: 50, direction: 'toServer' },
    { kind: 'garbage', direction: 'toClient' },
  );
  const elapsedMs = await caller.echo('0123456789');
  expect(elapsedMs).toBeGreaterThanOrEqual(49);
  expect(caller.received.toString()).not.toBe('0123456789');
});

test('new connections are dropped while living ones go on', async () => {
  const old = new Caller();
  await old.echo('warm');
  await proxy.setFault({ kind: 'dropNew' });
  const fresh = new Caller();
  await fresh.until(() => fresh.ended || fresh.socket.closed);
  expect(fresh.received).toHaveLength(0);
  await old.echo('goes on');
  expect(old.received.toString()).toBe('warmgoes on');
});

test('new connections are refused while living ones go on, until the fault is lifted', async () => {
  const old = new Caller();
  await old.echo('warm');
  await proxy.setFault({ kind: 'refuse' });
  const refused = new Caller();
  await refused.until(() => refused.socket.closed);
  expect(refused.errorCode).toBe('ECONNREFUSED');
  await old.echo('goes on');
  expect(old.received.toString()).toBe('warmgoes on');
  await proxy.setFault();
  const fresh = new Caller();
  await fresh.echo('back');
  expect(fresh.received.toString()).toBe('back');
});

test('reset breaks every connection on both sides', async () => {
  const callers = [new Caller(), new Caller()];
  for (const caller of callers) await caller.echo('warm');
  const serverSawIt = Promise.all(
    serverSockets.map((socket) => new Promise((resolve) => socket.on('close', resolve))),
  );
  proxy.reset();
  await serverSawIt;
  for (const caller of callers) {
    await caller.until(() => caller.socket.closed);
    expect(caller.errorCode).toBe('ECONNRESET');
  }
  expect(proxy.connections).toBe(0);
});

test('a client of a server that is away is reset', async () => {
  server.close();
  for (const socket of serverSockets) socket.destroy();
  await once(server, 'close');
  const caller = new Caller();
  await caller.until(() => caller.socket.closed);
  expect(caller.errorCode).toBe('ECONNRESET');
});
