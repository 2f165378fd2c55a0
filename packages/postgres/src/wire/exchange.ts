import type { FieldDescription, PgConnection, PgSubmittable } from './pg-client.ts';
import type { WireClient } from './wire-client.ts';

/**
 * One question to the server and its answer: written in one piece, over when the last of its Syncs is answered.
 *
 * Replies reach it straight from the bytes; pg's client only decides when it is its turn.
 */
export abstract class Exchange implements PgSubmittable {
  protected readonly client: WireClient;
  /** How many ReadyForQuery messages end it. */
  pendingSyncs = 1;
  /** The first thing that went wrong. */
  protected error: Error | undefined;
  #settled = false;

  constructor(client: WireClient) {
    this.client = client;
  }

  /** Lays its messages out in the client's writer. @throws What a parameter's conversion throws. */
  protected abstract write(): void;
  /** Called once, when it is over and went well. */
  protected abstract done(): void;
  /** Called once, when it is over and went wrong. */
  protected abstract failed(error: Error): void;

  submit(connection: PgConnection): Error | null {
    const { writer } = this.client;
    try {
      for (const name of this.client.statements.takeClosed()) writer.closeStatement(name);
      this.write();
    } catch (error) {
      writer.discard();
      return error as Error;
    }
    this.client.exchange = this;
    connection.stream.write(writer.take());
    return null;
  }

  onParseComplete(): void {}
  onRowDescription(_fields: readonly FieldDescription[]): void {}
  /** @param start Where the message's body begins in `buffer`. */
  onDataRow(_buffer: Buffer, _start: number): void {}
  onCommandComplete(_buffer: Buffer, _start: number, _end: number): void {}
  onEmptyQuery(): void {}
  onPortalSuspended(): void {}
  onCopyIn(connection: PgConnection): void {
    connection.sendCopyFail('no source of data was given');
  }

  /** By pg's client, for what COPY … TO STDOUT sends: nobody has asked for it. */
  handleCopyData(): void {}

  /** An ErrorResponse; what follows is skipped by the server up to the next Sync. */
  onError(error: Error): void {
    this.error ??= error;
  }

  /** The answer to a Sync that is not the last one. */
  onSync(): void {}

  /** By pg's client, after the last ReadyForQuery. */
  handleReadyForQuery(): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.error === undefined) this.done();
    else this.failed(this.error);
  }

  /**
   * By pg's client, when the connection is lost, could not be written to, or took longer than pg's `query_timeout`.
   * In the last case the answer is still to come, so this stays the client's exchange until then.
   */
  handleError(error: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.failed(this.error ?? error);
  }
}
