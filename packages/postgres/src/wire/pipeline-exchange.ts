import { CommandTag } from './command-tag.ts';
import { Exchange } from './exchange.ts';
import type { FieldDescription } from './pg-client.ts';
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
  /** Whether its end was reported. */
  complete = false;
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
    const result = this.results[this.#at]!;
    result.tag.read(buffer, start, end);
    result.complete = true;
    if (this.#atomic) this.#at++;
  }

  override onEmptyQuery(): void {
    this.results[this.#at]!.complete = true;
    if (this.#atomic) this.#at++;
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
