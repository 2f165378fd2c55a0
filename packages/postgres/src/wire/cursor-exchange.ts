import { typedQueryError } from '../errors.ts';
import { Exchange } from './exchange.ts';
import type { FieldDescription, PgConnection } from './pg-client.ts';
import { RowShape } from './row-shape.ts';
import type { WireClient } from './wire-client.ts';

/**
 * Runs a query as a portal that is read a batch at a time.
 *
 * In a transaction, one of its own unless one is open: there a portal outlives the Sync behind each batch, and the
 * server's `statement_timeout` counts for the batch, `idle_in_transaction_session_timeout` for the reader's pause.
 */
export class CursorExchange extends Exchange {
  readonly #text: string;
  readonly #values: readonly unknown[];
  readonly #batchSize: number;
  readonly #over: Promise<void>;
  #endOver!: () => void;
  #shape: RowShape | undefined;
  #rows: unknown[] = [];
  /** The reader that waits for its batch. */
  #waiting: { resolve: (rows: unknown[]) => void; reject: (error: unknown) => void } | undefined;
  /** Whether the transaction is begun, and ended, here. */
  isOwn = false;
  #begun = false;
  #suspended = false;
  #closing = false;
  #ending = false;
  #finished = false;
  #failure: unknown;

  constructor(client: WireClient, text: string, values: readonly unknown[], batchSize: number) {
    super(client);
    this.#text = text;
    this.#values = values;
    this.#batchSize = batchSize;
    this.#over = new Promise((resolve) => {
      this.#endOver = resolve;
    });
  }

  protected override write(): void {
    const { writer } = this.client;
    this.isOwn = this.client.transactionStatus === 'I';
    this.#begun = !this.isOwn;
    if (this.isOwn) this.#control('begin');
    writer.parse('', this.#text);
    writer.bind('', this.#values);
    writer.describePortal();
    writer.execute(this.#batchSize);
    writer.sync();
    // One for each batch, and one for the end.
    this.pendingSyncs = 2;
  }

  read(): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      if (this.#rows.length > 0) return resolve(this.#take());
      if (this.#finished) return resolve([]);
      this.#waiting = { resolve, reject };
      if (this.#suspended) this.#more();
    });
  }

  close(): Promise<void> {
    this.#closing = true;
    if (this.#suspended) this.#end();
    return this.#over;
  }

  override onRowDescription(fields: readonly FieldDescription[]): void {
    this.#shape = new RowShape(fields, this.client.types, 'object');
  }

  override onDataRow(buffer: Buffer, start: number): void {
    try {
      this.#rows.push(this.#shape!.read(buffer, start));
    } catch (error) {
      this.error ??= error as Error;
    }
  }

  override onPortalSuspended(): void {
    this.#suspended = true;
    // Its reader has left while the batch was on its way.
    if (this.#closing) this.#end();
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    waiting.resolve(this.#take());
  }

  override onCommandComplete(): void {
    if (this.#begun) this.#end();
    else this.#begun = true;
  }

  override onEmptyQuery(): void {
    this.#end();
  }

  override onCopyIn(connection: PgConnection): void {
    super.onCopyIn(connection);
    // The server has ignored the Sync that was sent along: it waited for data by then.
    this.client.writer.sync();
    connection.stream.write(this.client.writer.take());
  }

  override onError(error: Error): void {
    super.onError(error);
    this.#end();
  }

  protected override done(): void {
    this.#finished = true;
    this.#waiting?.resolve(this.#take());
    this.#waiting = undefined;
    this.#endOver();
  }

  protected override failed(error: Error): void {
    this.#finished = true;
    this.#failure = typedQueryError(error);
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
    this.#endOver();
  }

  #take(): unknown[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }

  #more(): void {
    this.#suspended = false;
    this.pendingSyncs++;
    const { writer, connection } = this.client;
    writer.execute(this.#batchSize);
    writer.sync();
    connection.stream.write(writer.take());
  }

  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#suspended = false;
    const { writer, connection } = this.client;
    writer.closePortal();
    // After a failure it is answered with ROLLBACK.
    if (this.isOwn) this.#control('commit');
    writer.sync();
    connection.stream.write(writer.take());
  }

  #control(text: string): void {
    const { writer } = this.client;
    writer.parse('', text);
    writer.bind('', []);
    writer.execute();
  }
}
