import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = Buffer.from('\r\ncontent-length: ');
const ZERO = 0x30;
const NINE = 0x39;
const READ_BYTES = 64 * 1024;

/** What came back, as it came: whoever looks at it parses it. */
export class Reply {
  readonly #bytes: Buffer;
  readonly #bodyStart: number;

  constructor(bytes: Buffer, bodyStart: number) {
    this.#bytes = bytes;
    this.#bodyStart = bodyStart;
  }

  /** Of `HTTP/1.1 200 OK`. */
  get status(): number {
    return Number(this.#bytes.toString('latin1', 9, 12));
  }

  get body(): string {
    return this.#bytes.toString('utf8', this.#bodyStart);
  }
}

/** A keep-alive connection with one request at a time and the least parsing, so that the server is what is measured. */
class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #resolve: (reply: Reply) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(port: number, host: string) {
    this.#socket = connect({
      port,
      host,
      noDelay: true,
      // One buffer for all that is read: no stream, no allocation a chunk.
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (size, buffer) => {
          this.#onData(Buffer.from((buffer as Buffer).subarray(0, size)));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#reject(error));
    this.#socket.on('close', () => this.#reject(new Error('the server closed the connection')));
  }

  send(request: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  #onData(chunk: Buffer): void {
    const received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#received = received;
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const field = received.indexOf(LENGTH);
    if (field === -1 || field > headEnd) {
      this.#reject(new Error(`a reply without a length: ${received.toString('latin1', 0, headEnd)}`));
      return;
    }
    const bodyStart = headEnd + HEAD_END.length;
    const end = bodyStart + digitsAt(received, field + LENGTH.length);
    if (received.length < end) return;
    if (received.length > end) {
      this.#reject(new Error('more came than one reply'));
      return;
    }
    this.#received = Buffer.alloc(0);
    this.#resolve(new Reply(received, bodyStart));
  }

  close(): void {
    this.#socket.destroy();
  }
}

function digitsAt(bytes: Buffer, start: number): number {
  let value = 0;
  for (let at = start; ; at++) {
    const byte = bytes[at] as number;
    if (byte < ZERO || byte > NINE) return value;
    value = value * 10 + byte - ZERO;
  }
}

/** So many connections to one server; each call takes one that is free. */
export class ConnectionPool {
  readonly #all: readonly Connection[];
  readonly #free: Connection[];

  constructor(size: number, port: number, host: string) {
    this.#all = Array.from({ length: size }, () => new Connection(port, host));
    this.#free = [...this.#all];
  }

  /** @throws RangeError when there are more calls at once than connections. */
  async send(request: Buffer): Promise<Reply> {
    const connection = this.#free.pop();
    if (connection === undefined) throw new RangeError('no connection is free');
    const reply = await connection.send(request);
    this.#free.push(connection);
    return reply;
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }
}

/** Processor time that a process took so far, in milliseconds; undefined where the system does not tell. */
export function processorMs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // User and system time in hundredths of a second.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}
