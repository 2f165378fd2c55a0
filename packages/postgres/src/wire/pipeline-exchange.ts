import { CommandTag } from './command-tag.ts';
import { Exchange } from './exchange.ts';
import type { FieldDescription, PgConnection } from './pg-client.ts';
import { RowShape } from './row-shape.ts';
import type { WireClient } from './wire-client.ts';

/** One statement of a pipeline. */
export interface PipelinedStatement {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** The name to keep it under; empty for none. */
  readonly name?: string;
}

/** What became of one statement of a pipeline. */
export class PipelinedResult {
  readonly tag: CommandTag = new CommandTag();
  readonly rows: unknown[] = [];
  error: Error | undefined;
}

/**
 * Sends several statements in one write. With one Sync at the end they are one transaction (unless one is
 * open): the first failure skips the rest. With a Sync after each they stand alone.
 */
export class PipelineExchange extends Exchange {
  readonly results: PipelinedResult[];
  readonly #statements: readonly PipelinedStatement[];
  readonly #atomic: boolean;
  readonly #settle: (error: Error | undefined, results: PipelinedResult[]) => void;
  #at = 0;
  #shape: RowShape | undefined;

  constructor(
    client: WireClient,
    statements: readonly PipelinedStatement[],
    atomic: boolean,
    settle: (error: Error | undefined, results: PipelinedResult[]) => void,
  ) {
    super(client);
    this.#statements = statements;
    this.#atomic = atomic;
    this.#settle = settle;
    this.results = statements.map(() => new PipelinedResult());
    this.pendingSyncs = atomic ? 1 : statements.length;
  }

  protected override write(): void {
    const { writer } = this.client;
    for (const { text, values = [] } of this.#statements) {
      writer.parse('', text);
      writer.bind('', values);
      writer.describePortal();
      writer.execute();
      if (!this.#atomic) writer.sync();
    }
    if (this.#atomic) writer.sync();
  }

  override onRowDescription(fields: readonly FieldDescription[]): void {
    this.#shape = new RowShape(fields, this.client.types, 'object');
  }

  override onDataRow(buffer: Buffer, start: number): void {
    const result = this.results[this.#at]!;
    try {
      result.rows.push(this.#shape!.read(buffer, start));
    } catch (error) {
      result.error ??= error as Error;
      if (this.#atomic) this.error ??= error as Error;
    }
  }

  override onCommandComplete(buffer: Buffer, start: number, end: number): void {
    this.results[this.#at]!.tag.read(buffer, start, end);
    if (this.#atomic) this.#at++;
  }

  override onEmptyQuery(): void {
    if (this.#atomic) this.#at++;
  }

  /** Which Sync the server would answer depends on what it had read by then: there is no way back into step. */
  override onCopyIn({ stream }: PgConnection): void {
    this.error ??= new TypeError('a batch has no data for COPY … FROM STDIN');
    stream.destroy();
  }

  override onError(error: Error): void {
    const result = this.results[Math.min(this.#at, this.results.length - 1)]!;
    result.error ??= error;
    // Alone, a failure is the statement's own.
    if (this.#atomic) super.onError(error);
  }

  override onSync(): void {
    this.#at++;
  }

  protected override done(): void {
    this.#settle(undefined, this.results);
  }

  protected override failed(error: Error): void {
    this.#settle(error, this.results);
  }
}
