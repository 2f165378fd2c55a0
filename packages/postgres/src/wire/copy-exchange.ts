import { typedQueryError } from '../errors.ts';
import { CommandTag } from './command-tag.ts';
import { Exchange } from './exchange.ts';
import type { WireClient } from './wire-client.ts';

const COPY_DATA = 0x64;
const LENGTH_BYTES = 4;
const HEADER_BYTES = 1 + LENGTH_BYTES;
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** Feeds a `COPY … FROM STDIN` in pieces, no faster than the socket takes them; resolves with the rows copied. */
export class CopyExchange extends Exchange {
  readonly #text: string;
  readonly #chunks: Iterator<Buffer>;
  readonly #resolve: (rows: number) => void;
  readonly #reject: (error: unknown) => void;
  readonly #tag = new CommandTag();
  #ended = false;

  constructor(
    client: WireClient,
    text: string,
    chunks: Iterable<Buffer>,
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
      let next: IteratorResult<Buffer>;
      try {
        next = this.#chunks.next();
      } catch (error) {
        this.#giveUp(error as Error);
        return;
      }
      if (next.done) {
        this.#ended = true;
        stream.write(COPY_DONE);
        return;
      }
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header[0] = COPY_DATA;
      header.writeInt32BE(LENGTH_BYTES + next.value.length, 1);
      stream.cork();
      stream.write(header);
      const hasRoom = stream.write(next.value);
      stream.uncork();
      if (!hasRoom) {
        stream.once('drain', () => this.#send());
        return;
      }
    }
  }

  /** A row that can't be written: the server is told to drop those before it. */
  #giveUp(error: Error): void {
    this.#ended = true;
    this.error ??= error;
    this.client.connection.sendCopyFail('a row could not be written');
  }
}
