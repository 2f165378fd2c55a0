import { describe } from '@hotpath/core';
import { Kysely } from 'kysely';
import { typedQueryError } from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { type PipelinedStatement, PipelineExchange } from '../wire/pipeline-exchange.ts';
import type { Executor } from './executor.ts';
import { HotpathDialect } from './kysely-dialect.ts';
import type { QueryOptions } from './query-task.ts';
import { checkLimits, TimeLimit, within } from './time-limit.ts';
import {
  runTransaction,
  type Transaction,
  type TransactionOptions,
  TransactionScope,
} from './transaction.ts';

/** Settings that policies read by `current_setting(name)`, such as `{ 'app.tenant': '42' }`. */
export type SessionVariables = Readonly<Record<string, string | number | boolean>>;

/** Queries that see certain session variables; nobody else on the same connections does. */
export interface VariableScope<DB> {
  /** Its queries see the variables; not behind a transaction pooler, where each use of it is a TypeError. */
  readonly kysely: Kysely<DB>;
  /** As {@link Postgres.query}, with the variables set for it. One round trip more before, and one after. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
  /** As {@link Postgres.transaction}, with the variables set for all of it. */
  transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
}

const RESET_TIMEOUT_MS = 5_000;
const variableName = /^[a-z_][\w$]*(?:\.[a-z_][\w$]*)+$/i;

const valueTypes = new Set(['string', 'number', 'boolean']);

/**
 * @throws TypeError when a name is not one of a variable of an application's own (with a dot), or a value is none: a
 * policy must not meet the word `undefined`.
 */
function checkVariables(variables: SessionVariables): void {
  if (typeof variables !== 'object' || variables === null)
    throw new TypeError(`withVariables: the variables must be an object, got ${describe(variables)}`);
  for (const [name, value] of Object.entries(variables)) {
    if (!variableName.test(name))
      throw new TypeError(`withVariables: a name must be like 'app.tenant', got ${JSON.stringify(name)}`);
    if (!valueTypes.has(typeof value) || Number.isNaN(value))
      throw new TypeError(
        `withVariables: '${name}' must be a string, a number or a boolean, got ${describe(value)}`,
      );
  }
}

/** See {@link VariableScope}. Behind a transaction pooler every query is a transaction of its own, since sessions are shared. */
export class BoundVariables<DB> implements VariableScope<DB> {
  readonly kysely: Kysely<DB>;
  readonly #executor: Executor;
  readonly #names: readonly string[];
  readonly #values: readonly string[];
  readonly #isPooled: boolean;

  constructor(executor: Executor, variables: SessionVariables, isPooled: boolean) {
    checkVariables(variables);
    this.#executor = executor;
    this.#names = Object.keys(variables);
    this.#values = Object.values(variables).map(String);
    this.#isPooled = isPooled;
    this.kysely = new Kysely<DB>({
      dialect: new HotpathDialect(executor, {
        acquire: (options) => this.#acquire(options),
        release: (connection, error) => void this.#release(connection, error),
      }),
    });
  }

  async query<Row>(text: string, values?: readonly unknown[], options?: QueryOptions): Promise<Row[]> {
    checkLimits('query', options);
    const limit = new TimeLimit(this.#executor, options);
    if (this.#isPooled) {
      const work = (transaction: Transaction<DB>) => transaction.query<Row>(text, values, limit.left());
      return this.transaction(work, { retries: 0, ...limit.left() });
    }
    const connection = await this.#acquire(limit.left());
    try {
      return (await this.#executor.runOn(connection, text, values, limit.left())).rows as Row[];
    } finally {
      // Not waited for: whoever is next waits for the connection anyway.
      void this.#release(connection);
    }
  }

  async transaction<T>(
    work: (transaction: Transaction<DB>) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    const scoped = TransactionScope.around(this.#executor, work, options);
    return runTransaction(this.#executor, scoped, options, (connection) =>
      this.#set(connection, true, { signal: options?.signal, timeoutMs: options?.timeoutMs }),
    );
  }

  async #acquire(options?: QueryOptions): Promise<PooledConnection> {
    if (this.#isPooled)
      throw new TypeError('withVariables: behind a transaction pooler use query() and transaction()');
    const limit = new TimeLimit(this.#executor, options);
    const connection = await this.#executor.acquire(limit.left());
    try {
      await this.#set(connection, false, limit.left());
      return connection;
    } catch (error) {
      this.#executor.release(connection, error);
      throw error;
    }
  }

  /** A connection whose variables can't be taken back must not go to anybody else. */
  async #release(connection: PooledConnection, error?: unknown): Promise<void> {
    let failure = error;
    try {
      await connection.cancelling;
      if (failure === undefined && connection.usable) {
        const limits = { timeoutMs: RESET_TIMEOUT_MS };
        if (connection.inTransaction) await this.#executor.runOn(connection, 'rollback', undefined, limits);
        await this.#pipeline(
          connection,
          this.#names.map((name) => ({ text: `reset ${name}` })),
          limits,
        );
      }
    } catch (cause) {
      failure = cause;
    }
    this.#executor.release(connection, failure);
  }

  #set(connection: PooledConnection, isLocal: boolean, limits: QueryOptions): Promise<void> {
    const statements = this.#names.map((name, i) => ({
      text: 'select set_config($1, $2, $3::boolean)',
      values: [name, this.#values[i]!, String(isLocal)],
    }));
    return this.#pipeline(connection, statements, limits);
  }

  /** All in one round trip. */
  #pipeline(
    connection: PooledConnection,
    statements: readonly PipelinedStatement[],
    limits: QueryOptions,
  ): Promise<void> {
    if (statements.length === 0) return Promise.resolve();
    const answered = this.#executor.exchangeOn<void>(
      connection,
      (wire, resolve, reject) =>
        new PipelineExchange(wire, statements, true, (error) => {
          if (error === undefined) resolve(undefined);
          else reject(typedQueryError(error));
        }),
    );
    return within(this.#executor, connection, answered, limits);
  }
}
