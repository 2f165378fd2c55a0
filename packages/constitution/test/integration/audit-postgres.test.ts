import { seededRandom } from '@hotpath/core';
import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyConsistency, verifyInclusion } from '../../src/audit/index.ts';
import {
  type AuditEntry,
  type AuditLog,
  createAuditLog,
  createConstitution,
  postgresAuditStore,
  verifyAuditLog,
} from '../../src/index.ts';

let server: PostgresServer;
let pool: pg.Pool;
let logs = 0;

beforeAll(async () => {
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.connectionString, max: 4 });
  pool.on('error', () => {});
});
afterAll(async () => {
  await pool?.end();
  await server?.[Symbol.asyncDispose]();
});

const entry = (index: number): AuditEntry => ({
  who: 'ann',
  what: `policy ${index}`,
  decision: 'allow',
  fingerprint: 'f',
  details: { text: `"€" \\ ${index}`, index },
});

const open = (log: string): Promise<AuditLog> =>
  createAuditLog({
    store: postgresAuditStore({ client: pool, log }),
    segmentEntries: 64,
    retryIntervalMs: 50,
  });
const verify = (log: string): ReturnType<typeof verifyAuditLog> =>
  verifyAuditLog(postgresAuditStore({ client: pool, log }));
const name = (): string => `log-${logs++}`;

async function filled(log: string, count: number): Promise<AuditLog> {
  const audit = await open(log);
  for (let index = audit.size; index < count; index++) audit.append(entry(index));
  await audit.flush();
  return audit;
}

describe('the Postgres store', () => {
  it('keeps a log over openings, and proves and verifies it', async () => {
    const log = name();
    await (await filled(log, 100)).close();
    const audit = await filled(log, 300);
    const root = await audit.root();
    for (const index of [0, 63, 64, 199, 255, 256, 299]) {
      expect(verifyInclusion(await audit.inclusionProof(index), root)).toBe(true);
      expect(verifyConsistency(await audit.consistencyProof(index), await audit.root(index), root)).toBe(
        true,
      );
    }
    const indexes: number[] = [];
    for await (const one of audit.entries()) {
      expect(one.details).toEqual(entry(one.index).details);
      indexes.push(one.index);
    }
    expect(indexes).toEqual(Array.from({ length: 300 }, (_, index) => index));
    await audit.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 300, root, checkpoints: 2, problems: [] });
  });

  it('names what was changed, removed or moved in its tables', async () => {
    const changes: readonly (readonly [string, string, number])[] = [
      [
        "update hotpath_audit_entries set entry = replace(entry, 'allow', 'deny') where log = $1 and index = 70",
        'altered',
        70,
      ],
      [
        "update hotpath_audit_entries set leaf = repeat('0', 64) where log = $1 and index = 140",
        'altered',
        140,
      ],
      ['delete from hotpath_audit_entries where log = $1 and index = 10', 'removed', 10],
      ['delete from hotpath_audit_entries where log = $1 and index >= 145', 'removed', 145],
    ];
    for (const [change, kind, index] of changes) {
      const log = name();
      await (await filled(log, 150)).close();
      await pool.query(change, [log]);
      const found = await verify(log);
      expect(found.problems[0]).toMatchObject({ kind, index });
    }
    const log = name();
    await (await filled(log, 150)).close();
    await pool.query('update hotpath_audit_entries set index = -1 where log = $1 and index = 20', [log]);
    await pool.query('update hotpath_audit_entries set index = 20 where log = $1 and index = 21', [log]);
    await pool.query('update hotpath_audit_entries set index = 21 where log = $1 and index = -1', [log]);
    expect((await verify(log)).problems).toMatchObject([{ kind: 'moved' }]);
  });

  it('has no log to verify before one was made', async () => {
    await pool.query('create database unused');
    const unused = new pg.Pool({ connectionString: server.connectionString.replace(/[^/]+$/, 'unused') });
    const log = postgresAuditStore({ client: unused });
    await expect(verifyAuditLog(log)).rejects.toMatchObject({
      code: 'HOTPATH_AUDIT_CORRUPT',
      message: 'there is no audit log',
    });
    await expect(verify(name())).rejects.toThrow('there is no audit log');
    await unused.end();
    await pool.query('drop database unused');
  });

  it('drops segments with their roots kept', async () => {
    const log = name();
    const audit = await filled(log, 200);
    const root = await audit.root();
    expect(await audit.drop(130)).toBe(128);
    await expect(audit.inclusionProof(5)).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_DROPPED' });
    expect(verifyInclusion(await audit.inclusionProof(130), root)).toBe(true);
    await audit.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 200, dropped: 128, root });
    const again = await filled(log, 201);
    await again.close();
    const { rows } = await pool.query(
      'select count(*)::int as count from hotpath_audit_entries where log = $1',
      [log],
    );
    expect(rows).toEqual([{ count: 73 }]);
  });

  it('notices a second writer, and mixes nothing', async () => {
    const log = name();
    const first = await filled(log, 10);
    const second = await open(log);
    first.append(entry(10));
    await first.flush();
    second.append({ ...entry(10), who: 'eve' });
    await expect(second.flush()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    await expect(second.close()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    await first.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 11 });
  });

  it('takes all entries of a flush or none, when another writer was at the first of them', async () => {
    const log = name();
    const first = await filled(log, 10);
    const second = await open(log);
    for (let index = 10; index < 30; index++) second.append({ ...entry(index), who: 'eve' });
    await first.commit(entry(10));
    await expect(second.flush()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    await expect(second.close()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    for (let index = 11; index < 20; index++) first.append(entry(index));
    await first.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 20 });
  });

  it('keeps each entry that was acknowledged, once and without a gap, while four write it at the same time', async () => {
    const log = name();
    const acknowledged: string[] = [];
    const write = async (who: string): Promise<void> => {
      let audit = await open(log);
      for (let turn = 0; turn < 40; ) {
        const what = `${who} ${turn}`;
        try {
          await audit.commit({ ...entry(turn), who, what });
          acknowledged.push(what);
          turn++;
        } catch (error) {
          expect(error).toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
          await audit.close().catch(() => {});
          audit = await open(log);
        }
      }
      await audit.close();
    };
    await Promise.all(['ann', 'bob', 'cid', 'dee'].map(write));
    const found = await verify(log);
    expect(found).toMatchObject({ ok: true, size: 160, problems: [] });
    const audit = await open(log);
    const kept: string[] = [];
    for await (const one of audit.entries()) kept.push(one.what);
    await audit.close();
    expect(kept.toSorted()).toEqual(acknowledged.toSorted());
  });

  it('never leaves a gap where the server lost what it had acknowledged', async () => {
    const log = name();
    const audit = await filled(log, 10);
    await pool.query('delete from hotpath_audit_entries where log = $1 and index >= 8', [log]);
    audit.append(entry(10));
    await expect(audit.flush()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    await expect(audit.close()).rejects.toMatchObject({ code: 'HOTPATH_AUDIT_CONFLICT' });
    expect(await verify(log)).toMatchObject({ size: 8 });
  });

  it('needs no right to make tables once they are made, and waits for no lock on them', async () => {
    const log = name();
    await (await filled(log, 3)).close();
    await pool.query(`drop role if exists writer`);
    await pool.query(`create role writer`);
    await pool.query(
      'grant select, insert on hotpath_audit_logs, hotpath_audit_entries, hotpath_audit_segments, hotpath_audit_checkpoints to writer',
    );
    const reader = await pool.connect();
    const writer = await pool.connect();
    try {
      await reader.query('begin');
      await reader.query('select count(*) from hotpath_audit_segments');
      await writer.query('set role writer');
      await writer.query("set lock_timeout = '2s'");
      const audit = await createAuditLog({ store: postgresAuditStore({ client: writer, log }) });
      await audit.commit(entry(3));
      await audit.close();
    } finally {
      await reader.query('rollback');
      reader.release(true);
      writer.release(true);
    }
    expect(await verify(log)).toMatchObject({ ok: true, size: 4 });
  });

  it('finds its hash whole in the name of a session', async () => {
    const constitution = createConstitution({ active: 'cdd01ef066bc6cf2' });
    const client = new pg.Client({
      connectionString: server.connectionString,
      application_name: constitution.applicationName('politique générale, version française et intégrale'),
    });
    await client.connect();
    const { rows } = await client.query(
      'select application_name as name from pg_stat_activity where pid = pg_backend_pid()',
    );
    await client.end();
    expect(rows).toEqual([{ name: 'politique g?n?rale, version fran?aise et int?g/cdd01ef066bc6cf2' }]);
  });

  it('takes an entry as written when only the answer was lost', async () => {
    const log = name();
    let losing = false;
    const client = {
      query: async (text: string, values: unknown[]) => {
        const result = await pool.query(text, values);
        if (losing && text.startsWith('insert into hotpath_audit_entries')) {
          losing = false;
          throw new Error('connection lost');
        }
        return result;
      },
    };
    const audit = await createAuditLog({ store: postgresAuditStore({ client, log }), segmentEntries: 64 });
    losing = true;
    for (let index = 0; index < 100; index++) audit.append(entry(index));
    await expect(audit.flush()).rejects.toThrow('connection lost');
    for (let index = 100; index < 110; index++) audit.append(entry(index));
    await audit.flush();
    await audit.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 110 });
  });

  it('loses nothing while the server is killed and started again', async () => {
    const log = name();
    const audit = await filled(log, 10);
    await server.kill();
    for (let index = 10; index < 500; index++) audit.append(entry(index));
    await expect(audit.flush()).rejects.toThrow();
    await server.start();
    await audit.flush();
    expect(audit.stats()).toMatchObject({ buffered: 0, size: 500 });
    await audit.close();
    expect(await verify(log)).toMatchObject({ ok: true, size: 500 });
  });

  it('loses nothing that was acknowledged, and doubles nothing, when the server is killed while it appends', async () => {
    const log = name();
    const random = seededRandom(11);
    let audit = await open(log);
    let acknowledged = 0;
    for (let round = 0; round < 3; round++) {
      let isStopping = false;
      const writing = (async () => {
        while (!isStopping) {
          const index = audit.size;
          await audit.commit(entry(index)).then(
            () => {
              acknowledged = index + 1;
            },
            // It stays and is tried again.
            () => new Promise((resolve) => setTimeout(resolve, 20)),
          );
        }
      })();
      await new Promise((resolve) => setTimeout(resolve, 50 + random() * 100));
      await server.kill();
      await new Promise((resolve) => setTimeout(resolve, 50));
      const sure = acknowledged;
      await server.start();
      if (round === 1) {
        // What was not acknowledged may be lost with its process.
        isStopping = true;
        await writing;
        await audit.close().catch(() => {});
        audit = await open(log);
        expect(audit.size).toBeGreaterThanOrEqual(sure);
      } else {
        while (acknowledged < sure + 5) await new Promise((resolve) => setTimeout(resolve, 10));
        isStopping = true;
        await writing;
      }
    }
    await audit.flush();
    await audit.close();
    const found = await verify(log);
    expect(found).toMatchObject({ ok: true, size: audit.size, problems: [] });
    expect(found.size).toBeGreaterThanOrEqual(acknowledged);
  });

  it('refuses a client without query', () => {
    expect(() => postgresAuditStore({ client: {} as never })).toThrow("option 'client' must be");
  });
});
