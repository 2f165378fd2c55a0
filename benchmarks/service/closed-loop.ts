import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

/** What came back. */
export interface Reply {
  readonly status: number;
  readonly body: string;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** A keep-alive connection with one request at a time and the least parsing, so that the server is what is measured. */
class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #resolve: (reply: Reply) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(port: number, host: string) {
    this.#socket = connect({ port, host, noDelay: true });
    this.#socket.on('data', (chunk) => this.#onData(chunk));
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
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd === -1) return;
    const head = this.#received.toString('latin1', 0, headEnd);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#reject(new Error(`a reply without a length: ${head}`));
      return;
    }
    const bodyStart = headEnd + HEAD_END.length;
    const end = bodyStart + Number(length);
    if (this.#received.length < end) return;
    const reply = {
      // "HTTP/1.1 200 OK"
      status: Number(head.slice(9, 12)),
      body: this.#received.toString('utf8', bodyStart, end),
    };
    this.#received = this.#received.subarray(end);
    this.#resolve(reply);
  }

  close(): void {
    this.#socket.destroy();
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
