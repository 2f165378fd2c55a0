import { AuditCorruptError, AuditRejectedError } from '../errors.ts';
import { HASH_BYTES } from './merkle.ts';
import type { AuditMeta, AuditStore, StoredLines, StoredSegment } from './store.ts';

/** The part of a Postgres client or pool (such as `pg`'s) that the store needs. */
export interface PostgresPort {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** What {@link postgresAuditStore} takes. */
export interface PostgresAuditStoreOptions {
  /** A pool or client of yours; the store never closes it. */
  readonly client: PostgresPort;
  /** The log's key in the tables; one process writes a log at a time. Default `default`. */
  readonly log?: string | undefined;
}

/** Once the tables are there, a writer needs no right to make or alter any, and waits for no lock on them. */
const ARE_MADE = `select count(*)::int as made from pg_attribute where attname = 'tree' and attstorage = 'e'
  and attrelid = to_regclass('hotpath_audit_segments') and to_regclass('hotpath_audit_logs') is not null
  and to_regclass('hotpath_audit_entries') is not null and to_regclass('hotpath_audit_checkpoints') is not null`;

const TABLES = [
  `create table if not exists hotpath_audit_logs (
    log text primary key, origin text not null, segment_entries integer not null)`,
  `create table if not exists hotpath_audit_entries (
    log text not null, index bigint not null, leaf text not null, entry text not null, primary key (log, index))`,
  `create table if not exists hotpath_audit_segments (
    log text not null, segment bigint not null, root bytea not null, tree bytea, primary key (log, segment))`,
  // Uncompressed, so that 32 bytes of a tree can be read without the rest.
  'alter table hotpath_audit_segments alter column tree set storage external',
  `create table if not exists hotpath_audit_checkpoints (
    id bigint generated always as identity primary key, log text not null, note text not null)`,
];

/**
 * Keeps an audit log in Postgres, through the one method of a client that you have.
 *
 * Makes the tables `hotpath_audit_*` when the log is opened for writing. A second writer is noticed when
 * both write the same index: the later one fails with HOTPATH_AUDIT_CONFLICT, and nothing is lost or mixed.
 *
 * @throws TypeError when the client has no `query`.
 */
export function postgresAuditStore({ client, log = 'default' }: PostgresAuditStoreOptions): AuditStore {
  if (typeof client?.query !== 'function') {
    throw new TypeError("postgresAuditStore: option 'client' must be an object with the method query()");
  }
  if (typeof log !== 'string' || log === '') {
    throw new TypeError("postgresAuditStore: option 'log' must be a text that is not empty");
  }
  return new PostgresAuditStore(client, log);
}

const UNIQUE_VIOLATION = '23505';
const UNDEFINED_TABLE = '42P01';
/** A catalogue row, a table, a type, or a row that was altered at the same time. */
const MADE_MEANWHILE: readonly unknown[] = [UNIQUE_VIOLATION, '42P07', '42710', 'XX000'];

class PostgresAuditStore implements AuditStore {
  readonly #client: PostgresPort;
  readonly #log: string;
  #segmentEntries = 0;

  constructor(client: PostgresPort, log: string) {
    this.#client = client;
    this.#log = log;
  }

  async #rows<Row>(text: string, ...values: unknown[]): Promise<readonly Row[]> {
    const { rows } = await this.#client.query(text, [this.#log, ...values]);
    return rows as readonly Row[];
  }

  async meta(): Promise<AuditMeta | undefined> {
    const [row] = await this.#rows<{ origin: string; segment_entries: number }>(
      'select origin, segment_entries from hotpath_audit_logs where log = $1',
    ).catch((error) => {
      if ((error as { code?: unknown }).code !== UNDEFINED_TABLE) throw error;
      return [];
    });
    if (row === undefined) return undefined;
    this.#segmentEntries = row.segment_entries;
    return { format: 1, origin: row.origin, segmentEntries: row.segment_entries };
  }

  async open(meta: AuditMeta): Promise<AuditMeta> {
    const { rows } = await this.#client.query(ARE_MADE, []);
    if ((rows[0] as { made: number }).made === 0) for (const table of TABLES) await this.#createOnce(table);
    await this.#rows(
      'insert into hotpath_audit_logs (log, origin, segment_entries) values ($1, $2, $3) on conflict do nothing',
      meta.origin,
      meta.segmentEntries,
    );
    return (await this.meta()) as AuditMeta;
  }

  async #createOnce(table: string): Promise<void> {
    try {
      await this.#client.query(table, []);
    } catch (error) {
      // Two that create one table at the same time: for one of them it is there already.
      if (!MADE_MEANWHILE.includes((error as { code?: unknown }).code)) throw error;
      await this.#client.query(table, []);
    }
  }

  async segments(): Promise<readonly StoredSegment[]> {
    const rows = await this.#rows<{ segment: string; root: Buffer; dropped: boolean }>(
      'select segment, root, tree is null as dropped from hotpath_audit_segments where log = $1 order by segment',
    );
    const segments: StoredSegment[] = rows.map(({ segment, root, dropped }) => ({
      number: Number(segment),
      state: dropped ? 'dropped' : 'sealed',
      root,
    }));
    const known = new Set(segments.map(({ number }) => number));
    const open = await this.#rows<{ segment: string }>(
      'select distinct index / $2::bigint as segment from hotpath_audit_entries where log = $1 and index >= $3',
      this.#segmentEntries,
      segments.length * this.#segmentEntries,
    );
    for (const { segment } of open) {
      if (!known.has(Number(segment)))
        segments.push({ number: Number(segment), state: 'open', root: undefined });
    }
    return segments.sort((a, b) => a.number - b.number);
  }

  async lines(segment: number): Promise<StoredLines> {
    const first = segment * this.#segmentEntries;
    const rows = await this.#rows<{ leaf: string; entry: string }>(
      'select leaf, entry from hotpath_audit_entries where log = $1 and index >= $2 and index < $3 order by index',
      first,
      first + this.#segmentEntries,
    );
    return { lines: rows.map(({ leaf, entry }) => `${leaf} ${entry}`), torn: '' };
  }

  async repair(): Promise<number> {
    throw new AuditCorruptError('HOTPATH_AUDIT_CORRUPT', 'a row of the audit log was changed');
  }

  async append(_segment: number, firstIndex: number, lines: readonly string[]): Promise<void> {
    if (await this.#insert(firstIndex, lines)) return;
    // An answer that was lost makes us write again what is there; anything else is another writer's.
    const present = await this.#rows<{ leaf: string }>(
      'select leaf from hotpath_audit_entries where log = $1 and index >= $2 and index < $3 order by index',
      firstIndex,
      firstIndex + lines.length,
    );
    const isOurs = present.length > 0 && present.every(({ leaf }, place) => lines[place]?.startsWith(leaf));
    if (isOurs) {
      const rest = lines.slice(present.length);
      if (rest.length === 0 || (await this.#insert(firstIndex + present.length, rest))) return;
    }
    throw new AuditRejectedError(
      'HOTPATH_AUDIT_CONFLICT',
      `another process writes the audit log '${this.#log}' (at entry ${firstIndex})`,
    );
  }

  /** Adds all lines or none; `false` when an entry is there already, or the one before them is not. */
  async #insert(firstIndex: number, lines: readonly string[]): Promise<boolean> {
    try {
      const written = await this.#rows(
        `insert into hotpath_audit_entries (log, index, leaf, entry)
         select $1, $2::bigint + place - 1, leaf, entry
         from unnest($3::text[], $4::text[]) with ordinality as given (leaf, entry, place)
         where $2::bigint = 0
           or exists (select from hotpath_audit_entries where log = $1 and index = $2::bigint - 1)
           or exists (select from hotpath_audit_segments where log = $1 and segment = ($2::bigint - 1) / $5::bigint)
         returning 1`,
        firstIndex,
        lines.map((line) => line.slice(0, 64)),
        lines.map((line) => line.slice(65)),
        this.#segmentEntries,
      );
      return written.length === lines.length;
    } catch (error) {
      if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return false;
      throw error;
    }
  }

  async seal(segment: number, tree: Buffer): Promise<void> {
    await this.#rows(
      `insert into hotpath_audit_segments (log, segment, root, tree) values ($1, $2, $3, $4) on conflict do nothing`,
      segment,
      tree.subarray(-HASH_BYTES),
      tree,
    );
  }

  async sync(): Promise<void> {
    // A statement that was answered is committed.
  }

  async tree(segment: number): Promise<Buffer> {
    const [row] = await this.#rows<{ tree: Buffer }>(
      'select tree from hotpath_audit_segments where log = $1 and segment = $2',
      segment,
    );
    return row?.tree ?? Buffer.alloc(0);
  }

  async nodes(segment: number, positions: readonly number[]): Promise<readonly Buffer[]> {
    const rows = await this.#rows<{ node: Buffer }>(
      `select substring(tree from place * ${HASH_BYTES} + 1 for ${HASH_BYTES}) as node
       from hotpath_audit_segments, unnest($3::integer[]) with ordinality as wanted (place, turn)
       where log = $1 and segment = $2 order by turn`,
      segment,
      positions,
    );
    if (rows.length !== positions.length || rows.some(({ node }) => node?.length !== HASH_BYTES)) {
      throw new AuditCorruptError(
        'HOTPATH_AUDIT_CORRUPT',
        `the tree of segment ${segment} is missing or cut off`,
      );
    }
    return rows.map(({ node }) => node);
  }

  async checkpoints(): Promise<readonly string[]> {
    const rows = await this.#rows<{ note: string }>(
      'select note from hotpath_audit_checkpoints where log = $1 order by id',
    );
    return rows.map(({ note }) => note);
  }

  async addCheckpoint(note: string): Promise<void> {
    await this.#rows('insert into hotpath_audit_checkpoints (log, note) values ($1, $2)', note);
  }

  async drop(segment: number): Promise<void> {
    // One statement, so that entries and tree go together.
    await this.#rows(
      `with gone as (update hotpath_audit_segments set tree = null where log = $1 and segment = $2)
       delete from hotpath_audit_entries where log = $1 and index >= $2::bigint * $3 and index < ($2::bigint + 1) * $3`,
      segment,
      this.#segmentEntries,
    );
  }

  async close(): Promise<void> {
    // The client is the caller's.
  }
}
