import type { EventEmitter } from 'node:events';
import type { Exchange } from './exchange.ts';
import { MessageWriter } from './message-writer.ts';
import { BaseClient, type FieldDescription, type PgClient, type TypeSource } from './pg-client.ts';
import { StatementCache } from './statement-cache.ts';
import { WireReader } from './wire-reader.ts';

/** The state of a session's transaction: none, in one, or in one that has failed. */
export type TransactionStatus = 'I' | 'T' | 'E';

/** How many statements a connection keeps prepared. */
const DEFAULT_STATEMENTS = 256;

/** pg's client with a shorter way for exchanges; to everybody else it is pg's client. */
export class WireClient extends BaseClient {
  /** The exchange whose answer is being read; null while pg's own queries run. */
  exchange: Exchange | null = null;
  transactionStatus: TransactionStatus = 'I';
  readonly writer: MessageWriter = new MessageWriter();
  readonly statements: StatementCache;

  constructor(config: unknown, statementCapacity: number = DEFAULT_STATEMENTS) {
    super(config);
    this.statements = new StatementCache(statementCapacity);
    const { connection } = this;
    const attach = connection.attachListeners;
    connection.attachListeners = (stream: EventEmitter) => {
      // The reader calls this once more, with a stream of what is left for pg.
      connection.attachListeners = attach;
      new WireReader(this, connection, stream);
    };
  }

  get types(): TypeSource {
    return this._types;
  }

  override _handleReadyForQuery(message: { status: string }): void {
    this.transactionStatus = message.status as TransactionStatus;
    const { exchange } = this;
    if (exchange !== null) {
      if (--exchange.pendingSyncs > 0) {
        exchange.onSync();
        return;
      }
      this.exchange = null;
    }
    super._handleReadyForQuery(message);
  }

  override _handleErrorMessage(message: Error): void {
    if (this.exchange === null) super._handleErrorMessage(message);
    else this.exchange.onError(message);
  }

  override _handleRowDescription(message: { fields: FieldDescription[] }): void {
    if (this.exchange === null) super._handleRowDescription(message);
    else this.exchange.onRowDescription(message.fields);
  }

  override _handleCopyInResponse(message: unknown): void {
    if (this.exchange === null) super._handleCopyInResponse(message);
    else this.exchange.onCopyIn(this.connection as never);
  }
}

/** Whether a client is ours, and so can take exchanges. */
export function isWireClient(client: PgClient): client is WireClient {
  return client instanceof WireClient;
}
