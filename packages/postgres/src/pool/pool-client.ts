import { sqlState } from '../errors.ts';
import type { QueryShape, QueryShapes } from '../query/query-shape.ts';
import type { PgCallback, TypeSource } from '../wire/pg-client.ts';
import { isStale, StatementExchange, type StatementOwner } from '../wire/statement-exchange.ts';
import { WireClient } from '../wire/wire-client.ts';

/** The parts of a query config that a prepared statement can honour; with any other the query is pg's own. */
const knownParts = new Set(['text', 'values', 'types', 'rowMode', 'name']);
const NO_VALUES: readonly unknown[] = Object.freeze([]);

interface QueryConfig {
  readonly text?: unknown;
  readonly name?: string | undefined;
  readonly values?: readonly unknown[] | undefined;
  readonly types?: TypeSource | undefined;
  readonly rowMode?: string | undefined;
  readonly submit?: unknown;
}

/** pg's client, but that queries given as text are prepared by themselves. */
export class PoolClient extends WireClient {
  readonly #shapes: QueryShapes;

  constructor(config: unknown, statementCapacity: number, shapes: QueryShapes) {
    super(config, statementCapacity);
    this.#shapes = shapes;
  }

  override query(config: unknown, values?: unknown, callback?: unknown): unknown {
    const query = this.#preparable(config, values, callback);
    if (query === undefined) return super.query(config, values, callback);
    if (query.callback !== undefined) {
      query.run();
      return undefined;
    }
    return new Promise((resolve, reject) => {
      query.callback = (error, result) => (error ? reject(error) : resolve(result));
      query.run();
    }).catch((error) => {
      // From the socket's stack to the caller's.
      if (error instanceof Error) Error.captureStackTrace(error);
      throw error;
    });
  }

  /** The query, when it can be kept prepared without a difference to the caller. */
  #preparable(config: unknown, values: unknown, callback: unknown): ClientQuery | undefined {
    const given: QueryConfig =
      typeof config === 'string' ? { text: config } : ((config ?? {}) as QueryConfig);
    if (typeof given.text !== 'string' || given.submit !== undefined || given.name) return undefined;
    if (typeof config !== 'string') for (const part in given) if (!knownParts.has(part)) return undefined;
    const list = (typeof values === 'function' ? undefined : values) ?? given.values ?? NO_VALUES;
    const done = typeof values === 'function' ? values : callback;
    if (!Array.isArray(list) || (done !== undefined && typeof done !== 'function')) return undefined;
    const shape = this.#shapes.get(given.text);
    // Without values a text may be anything: several statements, or one that talks back, as COPY does.
    if (list.length === 0 && (shape.multiple || !shape.looksLikeRows)) return undefined;
    return new ClientQuery(this, shape, list, given, done as PgCallback | undefined);
  }
}

class ClientQuery implements StatementOwner {
  readonly text: string;
  readonly name: string;
  readonly values: readonly unknown[];
  readonly types: TypeSource | undefined;
  readonly mode: 'array' | 'object';
  readonly simple = false;
  callback: PgCallback | undefined;
  readonly #client: PoolClient;
  #retried = false;

  constructor(
    client: PoolClient,
    shape: QueryShape,
    values: readonly unknown[],
    { types, rowMode }: QueryConfig,
    callback: PgCallback | undefined,
  ) {
    this.#client = client;
    this.text = shape.text;
    this.name = ++shape.uses > 1 ? shape.name : '';
    this.values = values;
    this.types = types;
    this.mode = rowMode === 'array' ? 'array' : 'object';
    this.callback = callback;
  }

  run(): void {
    this.#client.query(new StatementExchange(this.#client, this, this));
  }

  onResult(exchange: StatementExchange): void {
    this.#call(null, exchange.result());
  }

  onFailure(error: Error, exchange: StatementExchange): void {
    const client = this.#client;
    if (this.name !== '' && isStale(sqlState(error), error, exchange)) {
      client.statements.drop(this.name);
      if (!this.#retried && client.transactionStatus === 'I' && client._queryable !== false) {
        this.#retried = true;
        this.run();
        return;
      }
    }
    this.#call(error);
  }

  /** As pg does it: what a callback throws is nobody's but the process's, and the answer is read on. */
  #call(error: Error | null, result?: unknown): void {
    try {
      this.callback?.(error, result);
    } catch (thrown) {
      process.nextTick(() => {
        throw thrown;
      });
    }
  }
}
