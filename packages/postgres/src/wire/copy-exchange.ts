import { typedQueryError } from '../errors.ts';
import { CommandTag } from './command-tag.ts';
import { Exchange } from './exchange.ts';
import type { WireClient } from './wire-client.ts';

const COPY_DATA = 0x64;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** Sends text to a `COPY … FROM STDIN`, no faster than the socket takes it; resolves with the rows copied. */
export class CopyExchange extends Exchange {
  readonly #text: string;
  readonly #chunks: Iterator<string>;
  readonly #resolve: (rows: number) => void;
  readonly #reject: (error: unknown) => void;
  readonly #tag = new CommandTag();
  #ended = false;

  constructor(
    client: WireClient,
    text: string,
    chunks: Iterable<string>,
    resolve: (rows: number) => void,
    reject: (error: unknown) => void,
  ) {
    super(client);
    this.#text = text;
    this.#chunks = chunks[Symbol.iterator]();
    this.#resolve = resolve;
    this.#reject = reject;
  }

  protected override write(): void {
    this.client.writer.query(this.#text);
  }

  override onCopyIn(): void {
    this.#send();
  }

  override onCommandComplete(buffer: Buffer, start: number, end: number): void {
    this.#tag.read(buffer, start, end);
  }

  override onError(error: Error): void {
    super.onError(error);
    this.#ended = true;
  }

  protected override done(): void {
    this.#resolve(this.#tag.rowCount ?? 0);
  }

  protected override failed(error: Error): void {
    this.#ended = true;
    this.#reject(typedQueryError(error));
  }

  #send(): void {
    const { stream } = this.client.connection;
    while (!this.#ended) {
      const { value, done } = this.#chunks.next();
      if (done) {
        this.#ended = true;
        stream.write(COPY_DONE);
        return;
      }
      const bytes = Buffer.byteLength(value);
      const message = Buffer.allocUnsafe(5 + bytes);
      message[0] = COPY_DATA;
      message.writeInt32BE(4 + bytes, 1);
      message.write(value, 5);
      if (!stream.write(message)) {
        stream.once('drain', () => this.#send());
        return;
      }
    }
  }
}
