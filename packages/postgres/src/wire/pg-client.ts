import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import pg from 'pg';

/** A column of a result, as the server describes it. */
export interface FieldDescription {
  readonly name: string;
  readonly tableID: number;
  readonly columnID: number;
  readonly dataTypeID: number;
  readonly dataTypeSize: number;
  readonly dataTypeModifier: number;
  readonly format: string;
}

/** Where parsers of column values come from: `pg.types` and what users pass as `types`. */
export interface TypeSource {
  // biome-ignore lint/suspicious/noExplicitAny: a parser gives whatever its type is.
  getTypeParser(oid: number, format?: any): (text: any) => unknown;
}

/** The part of pg's `Connection` that is used here. */
export interface PgConnection extends EventEmitter {
  stream: Duplex & { destroyed: boolean; setKeepAlive?(on: boolean): void };
  attachListeners(stream: EventEmitter): void;
  sendCopyFail(message: string): void;
}

/** What pg's `Client` takes as a query that brings its own protocol handling. */
export interface PgSubmittable {
  submit(connection: PgConnection): Error | null | undefined;
  handleError(error: Error, connection?: PgConnection): void;
  handleReadyForQuery(connection: PgConnection): void;
}

export type PgCallback = (error: Error | null | undefined, result?: unknown) => void;

/** The part of pg's `Client` that is used here, its overridable handlers included. */
export interface PgClient extends EventEmitter {
  readonly connection: PgConnection;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly pipeline?: boolean;
  readonly _types: TypeSource;
  readyForQuery?: boolean;
  _queryable?: boolean;
  _ending?: boolean;
  connect(callback: (error?: Error | null) => void): void;
  query(query: unknown, values?: unknown, callback?: unknown): unknown;
  end(callback?: () => void): unknown;
  ref?(): void;
  unref?(): void;
  _handleReadyForQuery(message: { status: string }): void;
  _handleErrorMessage(message: Error): void;
  _handleParseComplete(): void;
  _handleRowDescription(message: { fields: FieldDescription[] }): void;
  _handleDataRow(message: unknown): void;
  _handleCommandComplete(message: unknown): void;
  _handlePortalSuspended(): void;
  _handleEmptyQuery(): void;
  _handleCopyInResponse(message: unknown): void;
}

export type PgClientConstructor = new (config: unknown) => PgClient;

/** pg's `Client`, with its protocol handlers visible: they are what a faster query overrides. */
export const BaseClient: PgClientConstructor = pg.Client as unknown as PgClientConstructor;
