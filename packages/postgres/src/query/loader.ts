import { abortable, describe, optionReader } from '@hotpath/core';
import { arrayText } from '../bulk/encode-text.ts';
import { type Catalog, type ColumnInfo, columnOf, type TableInfo } from '../catalog.ts';
import { sqlState } from '../errors.ts';
import { quoteName, quoteTable } from '../identifiers.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';
import { readSignal, TimeLimit } from './time-limit.ts';

/** What {@link Loader} takes besides table and column. */
export interface LoaderOptions<Column extends string = string> {
  /** The columns to load. Default: all. */
  readonly columns?: readonly Column[] | undefined;
  /** How many keys go in one query. Default 1,000. */
  readonly maxBatchSize?: number | undefined;
}

/** Turns the look-ups of one tick into one query. */
export interface Loader<Row, Key> {
  /**
   * The row with this key, or null; null as well for a key that is null or can't be of the column's type. Callers of one
   * key share one object. The signal ends this caller's wait alone.
   *
   * @throws RejectedError (HOTPATH_PG_UNKNOWN_NAME) for a table or column that is not there.
   * @throws TypeError for a key of too few or too many values; what `query` throws.
   */
  load(key: Key, options?: Pick<QueryOptions, 'signal'>): Promise<Row | null>;
  /** The rows with these keys, in their order, null for those that are absent. */
  loadMany(keys: readonly Key[], options?: Pick<QueryOptions, 'signal'>): Promise<(Row | null)[]>;
}

const DEFAULT_BATCH = 1_000;
const KEY_COLUMN = 'hotpath_key';
const INTEGER_RANGES: Readonly<Record<string, bigint>> = { smallint: 15n, integer: 31n, bigint: 63n };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

class PendingKey {
  readonly key: readonly unknown[];
  readonly waiters: { resolve: (row: unknown) => void; reject: (error: unknown) => void }[] = [];

  constructor(key: readonly unknown[]) {
    this.key = key;
  }
}

/** One column's way of telling keys apart by text, where that is exact. */
type Normalise = (key: unknown) => string | null;

interface Plan {
  readonly columns: readonly ColumnInfo[];
  /** Present where keys are told apart here; absent where the server numbers them. */
  readonly normalise: Normalise | undefined;
  readonly text: string;
}

/** Loads rows by key; see {@link Loader}. */
export class BatchingLoader implements Loader<unknown, unknown> {
  readonly #executor: Executor;
  readonly #catalog: Catalog;
  readonly #table: string;
  readonly #by: readonly string[];
  readonly #columns: readonly string[] | undefined;
  readonly #maxBatchSize: number;
  #plan: Plan | undefined;
  #pending = new Map<unknown, PendingKey>();
  #scheduled = false;

  /** @throws TypeError or RangeError when an option is wrong. */
  constructor(
    executor: Executor,
    catalog: Catalog,
    table: string,
    by: readonly string[],
    options: LoaderOptions,
  ) {
    if (!Array.isArray(by) || by.length === 0 || !by.every((name) => typeof name === 'string'))
      throw new TypeError(`loader: the key must be a column or an array of columns, got ${describe(by)}`);
    const read = optionReader('loader', options);
    const columns = read.any('columns');
    if (columns !== undefined && !Array.isArray(columns))
      throw new TypeError(`loader: option 'columns' must be an array, got ${describe(columns)}`);
    this.#executor = executor;
    this.#catalog = catalog;
    this.#table = table;
    this.#by = by;
    this.#columns = columns as readonly string[] | undefined;
    this.#maxBatchSize = read.integer('maxBatchSize', DEFAULT_BATCH, { min: 1 });
    read.end();
  }

  load(key: unknown, options?: Pick<QueryOptions, 'signal'>): Promise<unknown> {
    if (options === undefined) return new Promise((resolve, reject) => this.#add(key, resolve, reject));
    return this.#loadWith(key, options);
  }

  async loadMany(keys: readonly unknown[], options?: Pick<QueryOptions, 'signal'>): Promise<unknown[]> {
    return Promise.all(keys.map((key) => this.load(key, options)));
  }

  async #loadWith(key: unknown, options: Pick<QueryOptions, 'signal'>): Promise<unknown> {
    const read = optionReader('load', options);
    const signal = readSignal(read);
    read.end();
    signal?.throwIfAborted();
    return abortable(this.load(key), signal);
  }

  #add(key: unknown, resolve: (row: unknown) => void, reject: (error: unknown) => void): void {
    const parts = this.#by.length === 1 ? [key] : this.#partsOf(key);
    if (parts.length !== this.#by.length) {
      reject(
        new TypeError(`a key of ${this.#table} needs ${this.#by.join(', ')}, got ${parts.length} values`),
      );
      return;
    }
    if (parts.some((part) => part === null || part === undefined)) {
      resolve(null);
      return;
    }
    const id = parts.length === 1 && typeof key !== 'object' ? key : JSON.stringify(parts.map(textOf));
    let pending = this.#pending.get(id);
    if (pending === undefined) {
      pending = new PendingKey(parts);
      this.#pending.set(id, pending);
    }
    pending.waiters.push({ resolve, reject });
    if (this.#pending.size >= this.#maxBatchSize) {
      this.#flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After all promises of this tick: those that they settle may ask for more.
    queueMicrotask(() => process.nextTick(() => this.#flush()));
  }

  #partsOf(key: unknown): readonly unknown[] {
    if (Array.isArray(key)) return key;
    return this.#by.map((name) => (key as Record<string, unknown> | null)?.[name]);
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#pending.size === 0) return;
    const batch = [...this.#pending.values()];
    this.#pending = new Map();
    const limit = new TimeLimit(this.#executor);
    this.#load(batch, limit).catch((error) => this.#onFailure(batch, limit, error));
  }

  /** A key that the server can't read must not take the others with it. */
  #onFailure(batch: readonly PendingKey[], limit: TimeLimit, error: unknown): void {
    this.#plan = undefined;
    const isData = sqlState(error)?.startsWith('22') === true;
    if (!isData || batch.length === 1) {
      this.#catalog.forget(this.#table);
      for (const { waiters } of batch) for (const { reject } of waiters) reject(error);
      return;
    }
    for (const pending of batch)
      this.#load([pending], limit).catch((failure) => this.#onFailure([pending], limit, failure));
  }

  async #load(batch: readonly PendingKey[], limit: TimeLimit): Promise<void> {
    this.#plan ??= await this.#makePlan(limit);
    const plan = this.#plan;
    if (plan.normalise !== undefined) return this.#loadByText(plan, plan.normalise, batch, limit);
    const arrays = plan.columns.map((_, i) => arrayText(batch.map(({ key }) => textOf(key[i]))));
    const { rows } = await this.#executor.run(plan.text, arrays, limit.left());
    const found: unknown[] = new Array(batch.length).fill(null);
    for (const row of rows as Record<string, unknown>[]) {
      const at = Number(row[KEY_COLUMN]) - 1;
      delete row[KEY_COLUMN];
      found[at] = row;
    }
    batch.forEach(({ waiters }, i) => {
      for (const { resolve } of waiters) resolve(found[i]);
    });
  }

  async #loadByText(
    plan: Plan,
    normalise: Normalise,
    batch: readonly PendingKey[],
    limit: TimeLimit,
  ): Promise<void> {
    const byText = new Map<string, PendingKey[]>();
    for (const pending of batch) {
      const text = normalise(pending.key[0]);
      if (text === null) {
        for (const { resolve } of pending.waiters) resolve(null);
        continue;
      }
      const same = byText.get(text);
      if (same === undefined) byText.set(text, [pending]);
      else same.push(pending);
    }
    if (byText.size === 0) return;
    const { rows } = await this.#executor.run(plan.text, [arrayText([...byText.keys()])], limit.left());
    const name = this.#by[0]!;
    const hidden = this.#columns !== undefined && !this.#columns.includes(name);
    for (const row of rows as Record<string, unknown>[]) {
      const text = String(hidden ? row[KEY_COLUMN] : row[name]);
      if (hidden) delete row[KEY_COLUMN];
      const same = byText.get(text);
      if (same === undefined) continue;
      byText.delete(text);
      for (const { waiters } of same) for (const { resolve } of waiters) resolve(row);
    }
    for (const same of byText.values()) {
      for (const { waiters } of same) for (const { resolve } of waiters) resolve(null);
    }
  }

  #makePlan(limit: TimeLimit): Promise<Plan> {
    return this.#catalog.using(this.#table, limit, (info) => this.#planFor(info));
  }

  #planFor(info: TableInfo): Plan {
    const columns = this.#by.map((name) => columnOf(this.#table, info, name));
    for (const name of this.#columns ?? []) columnOf(this.#table, info, name);
    const table = quoteTable(this.#table);
    const selected = this.#columns?.map((name) => `t.${quoteName(name)}`).join(', ') ?? 't.*';
    const normalise = columns.length === 1 ? normaliserOf(columns[0]!) : undefined;
    if (normalise !== undefined) {
      const name = this.#by[0]!;
      const extra =
        this.#columns === undefined || this.#columns.includes(name)
          ? ''
          : `, t.${quoteName(name)} as ${KEY_COLUMN}`;
      const text = `select ${selected}${extra} from ${table} t where t.${quoteName(name)} = any ($1::${columns[0]!.type}[])`;
      return { columns, normalise, text };
    }
    const arrays = columns.map((column, i) => `$${i + 1}::${column.type}[]`).join(', ');
    const keys = columns.map((_, i) => `k${i}`).join(', ');
    const match = columns.map(({ name }, i) => `t.${quoteName(name)} = r.k${i}`).join(' and ');
    return {
      columns,
      normalise: undefined,
      text: `select ${selected}, r.n as ${KEY_COLUMN} from unnest(${arrays}) with ordinality as r(${keys}, n) join ${table} t on ${match}`,
    };
  }
}

function textOf(key: unknown): string {
  if (key instanceof Date) return key.toISOString();
  return Buffer.isBuffer(key) ? `\\x${key.toString('hex')}` : String(key);
}

/** For types whose text is the same for the same value; a key that can't be of the type has no row. */
function normaliserOf({ type, hasExactText }: ColumnInfo): Normalise | undefined {
  const bits = INTEGER_RANGES[type];
  if (bits !== undefined) return (key) => integerText(key, bits);
  if (hasExactText) {
    return (key) => (typeof key === 'object' || String(key).includes('\0') ? null : String(key));
  }
  if (type !== 'uuid') return undefined;
  return (key) => {
    const text = String(key).toLowerCase();
    return UUID.test(text) ? text : null;
  };
}

function integerText(key: unknown, bits: bigint): string | null {
  if (typeof key === 'number' && Number.isSafeInteger(key) && Math.abs(key) < 0x7fff) return String(key);
  let value: bigint;
  try {
    value = BigInt(key as string);
  } catch {
    return null;
  }
  return value >= -(1n << bits) && value < 1n << bits ? value.toString() : null;
}
