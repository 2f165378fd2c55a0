import { EventEmitter } from 'node:events';
import type { PgConnection } from './pg-client.ts';
import type { WireClient } from './wire-client.ts';

const HEADER_BYTES = 5;

const PARSE_COMPLETE = 0x31;
const BIND_COMPLETE = 0x32;
const CLOSE_COMPLETE = 0x33;
const COMMAND_COMPLETE = 0x43;
const DATA_ROW = 0x44;
const EMPTY_QUERY = 0x49;
const READY_FOR_QUERY = 0x5a;
const NO_DATA = 0x6e;
const PORTAL_SUSPENDED = 0x73;

/** The answer to `ReadyForQuery`, by the byte that it carries: kept so that none is made per query. */
const READY_MESSAGES = Object.freeze({
  73: Object.freeze({ name: 'readyForQuery', length: 5, status: 'I' }),
  84: Object.freeze({ name: 'readyForQuery', length: 5, status: 'T' }),
  69: Object.freeze({ name: 'readyForQuery', length: 5, status: 'E' }),
}) as Readonly<Record<number, { readonly status: string }>>;

/**
 * Cuts a connection's bytes into messages, and hands those that belong to an {@link Exchange} to it.
 *
 * Everything else (authentication, notices, errors, queries of pg's own) goes to pg's parser as it came.
 */
export class WireReader {
  readonly #client: WireClient;
  readonly #passed = new EventEmitter();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes = 0;

  constructor(client: WireClient, connection: PgConnection, stream: EventEmitter) {
    this.#client = client;
    connection.attachListeners(this.#passed);
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('end', () => this.#passed.emit('end'));
  }

  #read(chunk: Buffer): void {
    let buffer = chunk;
    if (this.#heldBytes > 0) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes < this.#neededBytes) return;
      buffer = Buffer.concat(this.#held, this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
    }
    const end = buffer.length;
    let offset = 0;
    let passFrom = -1;
    this.#neededBytes = HEADER_BYTES;
    while (end - offset >= HEADER_BYTES) {
      const length =
        ((buffer[offset + 1]! << 24) |
          (buffer[offset + 2]! << 16) |
          (buffer[offset + 3]! << 8) |
          buffer[offset + 4]!) >>>
        0;
      const next = offset + 1 + length;
      if (next > end) {
        this.#neededBytes = 1 + length;
        break;
      }
      if (this.#client.exchange === null) {
        if (passFrom === -1) passFrom = offset;
      } else if (!this.#take(buffer, offset, next)) {
        this.#passed.emit('data', buffer.subarray(offset, next));
      }
      offset = next;
    }
    if (passFrom !== -1) this.#passed.emit('data', buffer.subarray(passFrom, offset));
    if (offset < end) {
      this.#held.push(offset === 0 ? buffer : buffer.subarray(offset));
      this.#heldBytes = end - offset;
    }
  }

  #take(buffer: Buffer, offset: number, next: number): boolean {
    const exchange = this.#client.exchange!;
    const body = offset + HEADER_BYTES;
    switch (buffer[offset]) {
      case DATA_ROW:
        exchange.onDataRow(buffer, body);
        return true;
      case BIND_COMPLETE:
      case CLOSE_COMPLETE:
      case NO_DATA:
        return true;
      case COMMAND_COMPLETE:
        exchange.onCommandComplete(buffer, body, next);
        return true;
      case READY_FOR_QUERY: {
        const message = READY_MESSAGES[buffer[body]!];
        if (message === undefined) return false;
        this.#client._handleReadyForQuery(message);
        return true;
      }
      case PARSE_COMPLETE:
        exchange.onParseComplete();
        return true;
      case EMPTY_QUERY:
        exchange.onEmptyQuery();
        return true;
      case PORTAL_SUSPENDED:
        exchange.onPortalSuspended();
        return true;
      default:
        return false;
    }
  }
}
