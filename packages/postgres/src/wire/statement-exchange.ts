import { CommandTag } from './command-tag.ts';
import { Exchange } from './exchange.ts';
import type { FieldDescription, PgConnection, TypeSource } from './pg-client.ts';
import { type RowMode, RowShape } from './row-shape.ts';
import { PreparedStatement } from './statement-cache.ts';
import type { WireClient } from './wire-client.ts';

/** What a statement gave; what pg's own results have, in the same names. */
export interface StatementResult {
  command: string | null;
  rowCount: number | null;
  oid: null;
  rows: unknown[];
  fields: readonly FieldDescription[];
  rowAsArray: boolean;
}

/** One statement to be run: its text, the name to keep it under (`''`: not kept), and its values. */
export interface StatementRequest {
  readonly text: string;
  readonly name: string;
  readonly values: readonly unknown[];
  readonly types: TypeSource | undefined;
  readonly mode: RowMode;
  /** Sends the text as it is, which may hold several statements; it can take no values then. */
  readonly simple: boolean;
}

/** Who is told how a statement went. */
export interface StatementOwner {
  onResult(exchange: StatementExchange): void;
  onFailure(error: Error, exchange: StatementExchange): void;
}

/**
 * Runs one statement by the extended protocol: in one round trip, and without Parse and Describe when
 * this connection has prepared it before.
 *
 * Leaving Describe out is safe: the server refuses (0A000) a prepared statement whose columns have changed.
 */
export class StatementExchange extends Exchange implements StatementRequest {
  readonly text: string;
  readonly name: string;
  readonly values: readonly unknown[];
  readonly types: TypeSource | undefined;
  readonly mode: RowMode;
  /** Whether the text may hold several statements; the rows are then those of the last one that has any. */
  readonly simple: boolean;
  rows: unknown[] = [];
  readonly tag: CommandTag = new CommandTag();
  fields: readonly FieldDescription[] = [];
  /** Whether it ran under a name that was prepared earlier: only then may the statement be stale. */
  reused = false;
  readonly #owner: StatementOwner;
  #prepared: PreparedStatement | undefined;
  #shape: RowShape | undefined;

  constructor(client: WireClient, request: StatementRequest, owner: StatementOwner) {
    super(client);
    this.text = request.text;
    this.name = request.name;
    this.values = request.values;
    this.types = request.types;
    this.mode = request.mode;
    this.simple = request.simple;
    this.#owner = owner;
  }

  protected override write(): void {
    const { writer, statements } = this.client;
    if (this.simple) {
      writer.query(this.text);
      return;
    }
    const known = this.name === '' ? undefined : statements.get(this.name);
    if (known === undefined) {
      if (this.name !== '') this.#prepared = new PreparedStatement(this.name, this.text);
      writer.parse(this.name, this.text);
      writer.bind(this.name, this.values);
      writer.describePortal();
    } else {
      this.reused = true;
      this.fields = known.fields;
      this.#shape = known.rowShape(this.types ?? this.client.types, this.mode);
      writer.bind(this.name, this.values);
    }
    writer.execute();
    writer.sync();
  }

  override onParseComplete(): void {
    if (this.#prepared !== undefined) this.client.statements.add(this.#prepared);
  }

  override onRowDescription(fields: readonly FieldDescription[]): void {
    this.fields = fields;
    const types = this.types ?? this.client.types;
    if (this.simple && this.rows.length > 0) this.rows = [];
    if (this.#prepared === undefined) this.#shape = new RowShape(fields, types, this.mode);
    else {
      this.#prepared.fields = fields;
      this.#shape = this.#prepared.rowShape(types, this.mode);
    }
  }

  override onDataRow(buffer: Buffer, start: number): void {
    if (this.error !== undefined) return;
    try {
      this.rows.push(this.#shape!.read(buffer, start));
    } catch (error) {
      this.error = error as Error;
    }
  }

  override onCommandComplete(buffer: Buffer, start: number, end: number): void {
    this.tag.read(buffer, start, end);
    const { command } = this.tag;
    if (command === 'DISCARD' || command === 'DEALLOCATE') this.client.statements.clear();
  }

  override onCopyIn(connection: PgConnection): void {
    super.onCopyIn(connection);
    // The server has ignored the Sync that was sent along: it waited for data by then.
    if (this.simple) return;
    this.client.writer.sync();
    connection.stream.write(this.client.writer.take());
  }

  override onError(error: Error): void {
    super.onError(error);
    // One that failed before it was described must be described next time.
    if (this.#prepared !== undefined) this.client.statements.drop(this.name);
  }

  protected override done(): void {
    this.#owner.onResult(this);
  }

  protected override failed(error: Error): void {
    this.#owner.onFailure(error, this);
  }

  result(): StatementResult {
    return {
      command: this.tag.command,
      rowCount: this.tag.rowCount,
      oid: null,
      rows: this.rows,
      fields: this.fields,
      rowAsArray: this.mode === 'array',
    };
  }
}

/**
 * Whether a statement failed for being prepared too long ago: the session no longer has it (26000), or its
 * columns have changed since (0A000). Either way the server has refused it before it began.
 */
export function isStale(state: string | undefined, error: Error, exchange: StatementExchange): boolean {
  if (state === '26000') return true;
  // 0A000 has many meanings; this routine raises it for a plan whose columns have changed.
  const { routine } = error as { routine?: string };
  return state === '0A000' && exchange.reused && routine === 'RevalidateCachedQuery';
}
