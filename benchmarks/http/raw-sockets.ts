import { connect, type Socket } from 'node:net';

/** Asks for one path over and over on sockets of its own, with the least parsing that can work: the floor. */
export class RawSockets {
  readonly #idle: RawSocket[] = [];
  readonly #all: RawSocket[] = [];
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  get(path: string): Promise<unknown> {
    let socket = this.#idle.pop();
    if (socket === undefined) {
      socket = new RawSocket(this.#port, (freed) => this.#idle.push(freed));
      this.#all.push(socket);
    }
    return socket.get(path);
  }

  close(): void {
    for (const socket of this.#all) socket.close();
  }
}

class RawSocket {
  readonly #socket: Socket;
  readonly #host: string;
  #received = '';
  #resolve: (value: unknown) => void = () => {};

  constructor(port: number, onFree: (socket: RawSocket) => void) {
    this.#host = `127.0.0.1:${port}`;
    this.#socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (chunk: string) => {
      this.#received += chunk;
      const bodyStart = this.#received.indexOf('\r\n\r\n') + 4;
      if (bodyStart === 3) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1]);
      if (this.#received.length < bodyStart + length) return;
      const body = this.#received.slice(bodyStart);
      this.#received = '';
      onFree(this);
      this.#resolve(JSON.parse(body));
    });
  }

  get(path: string): Promise<unknown> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nconnection: keep-alive\r\n\r\n`,
        'latin1',
      );
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
