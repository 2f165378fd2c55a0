import { channel } from 'node:diagnostics_channel';
import { startFaultProxy } from '@hotpath/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ListenGap, NPlusOneEvent, PlanChangeEvent, SlowQueryEvent } from '../../src/index.ts';
import { codeOf, startDatabase, type TestDatabase } from './database.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await startDatabase();
  await test.db.query(`create table users (id int primary key, name text);
    insert into users select g, 'user ' || g from generate_series(1, 1000) g`);
});
afterAll(() => test[Symbol.asyncDispose]());

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});
function hear<Event>(name: string): Event[] {
  const events: Event[] = [];
  const onEvent = (event: unknown): void => void events.push(event as Event);
  channel(`hotpath:postgres:${name}`).subscribe(onEvent);
  stops.push(() => channel(`hotpath:postgres:${name}`).unsubscribe(onEvent));
  return events;
}

/** The line that calls this, as a stack shows it. */
const here = (): number => Number(/watching\.test\.ts:(\d+)/.exec(new Error().stack!.split('\n')[2]!)![1]);

describe('detectNPlusOne', () => {
  it('names the line that repeats a query, of whichever way it asks, and only once', async () => {
    const db = test.connect({ detectNPlusOne: { threshold: 4, windowMs: 10_000 } });
    const events = hear<NPlusOneEvent>('n-plus-one');
    const lines: number[] = [];
    for (let id = 1; id <= 8; id++) {
      lines[0] = here() + 1;
      await db.query('select name from users where id = $1', [id]);
    }
    for (let id = 1; id <= 8; id++) {
      lines[1] = here() + 1;
      await db.kysely.selectFrom('users').select('name').where('id', '=', id).execute();
    }
    await db.transaction(async (transaction) => {
      for (let id = 1; id <= 8; id++) {
        lines[2] = here() + 1;
        await transaction.query('select id from users where id = $1', [id]);
      }
    });
    for (let id = 1; id <= 8; id++) await db.query(`select ${id} as different`);
    const sites = events.map(({ site }) => site);
    expect(
      sites.map((site) => Number(/watching\.test\.ts:(\d+)/.exec(site)?.[1])),
      sites.join('\n'),
    ).toEqual(lines);
    expect(events.map(({ count }) => count)).toEqual([4, 4, 4]);
  });
});

describe('slow queries', () => {
  it('are explained without running a write again, and a plan that has changed is told with both hashes', async () => {
    const db = test.connect({ slowQueryMs: 0, explainSampleRatio: 1, pool: { max: 4 } });
    const slow = hear<SlowQueryEvent>('slow-query');
    const changed = hear<PlanChangeEvent>('plan-change');
    await db.query("update users set name = name || '!' where id = 1");
    await expect.poll(() => slow.length).toBeGreaterThan(0);
    expect(slow[0]).toMatchObject({ text: expect.stringContaining('update users') });
    expect(slow[0]!.explanation).toBeUndefined();
    expect(await test.db.query('select name from users where id = 1')).toEqual([{ name: 'user 1!' }]);
    const text = 'select count(*)::int as n from users where name = $1';
    const explained = () => slow.filter((event) => event.text === text && event.explanation !== undefined);
    await db.query(text, ['x']);
    await expect.poll(() => explained().length).toBe(1);
    await test.db.query('create index users_name on users (name); analyze users');
    await db.query(text, ['x']);
    await expect.poll(() => changed.length).toBe(1);
    const [before, after] = explained().map(({ explanation }) => explanation!.planHash);
    expect(changed).toEqual([{ text, previousHash: before, planHash: after }]);
    expect(explained()[1]!.explanation!.indexes).toEqual(['users_name']);
  });
});

describe('explain', () => {
  it.each([
    'update users set name = null',
    'delete from users where id < 500',
    "insert into users select g, 'x' from generate_series(5000, 5100) g",
    'with gone as (delete from users returning id) select count(*) from gone',
    "merge into users u using (values (1)) v(id) on u.id = v.id when matched then update set name = 'm'",
    'select * from users for update',
    "select nextval('numbers')",
    'create table made as select 1',
    'select setval($$numbers$$, 99)',
  ])('of `%s` changes nothing', async (text) => {
    await test.db.query('create sequence if not exists numbers');
    const state = () =>
      test.db.query(`select (select md5(string_agg(u::text, ',' order by id)) from users u) as users,
        (select last_value from numbers) as number, to_regclass('made') as made`);
    const before = await state();
    const { analyzed } = await test.db.explain(text);
    // The making of a table is measured, and undone with its transaction.
    expect(analyzed).toBe(text.startsWith('create'));
    expect(await state()).toEqual(before);
    expect(
      await test.db.query(
        "select count(*)::int as n from pg_stat_activity where state like 'idle in transaction%'",
      ),
    ).toEqual([{ n: 0 }]);
  });
});

describe('paginate', () => {
  it('reads a page far in as cheaply as the first, in either direction', async () => {
    await test.db.query(`create table pages (id int primary key, kind int not null, at timestamptz);
      insert into pages select g, g % 50, now() + g * interval '1 s' from generate_series(1, 20000) g;
      create index on pages (kind, id); create index on pages (at, id); analyze pages`);
    const db = test.connect({ slowQueryMs: 0, explainSampleRatio: 1 });
    const slow = hear<SlowQueryEvent>('slow-query');
    for (const [orderBy, position] of [
      [['id'], ['19000']],
      [['-id'], ['1000']],
      [
        ['kind', 'id'],
        ['45', '10045'],
      ],
      [
        ['-kind', '-id'],
        ['5', '9955'],
      ],
      [
        ['kind', '-id'],
        ['45', '10045'],
      ],
    ] as const) {
      slow.length = 0;
      const order = [...orderBy];
      const after = Buffer.from(JSON.stringify(['pages', order, position])).toString('base64url');
      const page = await db.paginate('pages', { orderBy: order, pageSize: 20, after });
      expect(page.rows).toHaveLength(20);
      const explained = () =>
        slow.find(({ text, explanation }) => text.includes('from "pages"') && explanation);
      // One is explained at a time, so its turn may come only when it is asked again.
      await expect
        .poll(async () => {
          await db.paginate('pages', { orderBy: order, pageSize: 20, after });
          return explained();
        })
        .toMatchObject({ explanation: { plan: expect.anything() } });
      const text = JSON.stringify(explained()!.explanation!.plan);
      const removed = Math.max(
        0,
        ...[...text.matchAll(/"Rows Removed by Filter":(\d+)/g)].map(([, n]) => Number(n)),
      );
      expect(removed, `${orderBy}: ${text}`).toBeLessThan(500);
    }
  });

  it('refuses a position that was tampered with', async () => {
    for (const position of [['x'], ['1', '2'], [5], [{}], 'x', null, [['1']], ["1'; drop table users"]]) {
      const after = Buffer.from(JSON.stringify(['users', ['id'], position])).toString('base64url');
      expect(await codeOf(test.db.paginate('users', { after })), JSON.stringify(position)).toBe(
        'HOTPATH_PG_BAD_CURSOR',
      );
    }
  });
});

describe('listen', () => {
  it('is heard from the moment that it resolves, by everyone who shares a channel', async () => {
    const db = test.connect();
    for (let round = 0; round < 10; round++) {
      const heard: string[] = [];
      const name = `shared ${round}`;
      const [first, second] = await Promise.all(
        ['a', 'b'].map(async (who) => {
          const subscription = await db.listen(name, {
            onNotification: ({ payload }) => heard.push(`${who} ${payload}`),
          });
          await test.db.query('select pg_notify($1, $2)', [name, who]);
          return subscription;
        }),
      );
      await expect.poll(() => heard.filter((each) => each === 'a a' || each === 'b b').length).toBe(2);
      // Leaving and coming back at once must not leave the channel unheard.
      const left = Promise.all([first!.close(), second!.close()]);
      const again = db.listen(name, { onNotification: ({ payload }) => heard.push(`c ${payload}`) });
      await left;
      const third = await again;
      await test.db.query('select pg_notify($1, $2)', [name, 'end']);
      await expect.poll(() => heard).toContain('c end');
      await third.close();
    }
  });

  it('tells of a gap on its channel too, and a listener that throws takes nobody with it', async () => {
    await using proxy = await startFaultProxy({ port: test.server.port });
    const gaps = hear<ListenGap>('listen-gap');
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
    });
    const heard: string[] = [];
    await db.listen('gapped', {
      onNotification: ({ payload }) => {
        heard.push(payload);
        if (payload === 'bad') throw new Error('a listener has a fault');
      },
      onGap: () => heard.push('gap'),
    });
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
    await test.db.query("select pg_notify('gapped', 'bad'); select pg_notify('gapped', 'good')");
    expect(await thrown).toMatchObject({ message: 'a listener has a fault' });
    await expect.poll(() => heard).toEqual(['bad', 'good']);
    await proxy.setFault({ kind: 'reset', afterBytes: 0 });
    await test.db.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %'");
    await proxy.setFault();
    await expect.poll(() => gaps.length, { timeout: 5_000 }).toBe(1);
    expect(gaps[0]).toMatchObject({ channels: ['gapped'], lostMs: expect.any(Number) });
    expect(heard.at(-1)).toBe('gap');
    await test.db.query("select pg_notify('gapped', 'after')");
    await expect.poll(() => heard.at(-1)).toBe('after');
  });

  it('has one session, also when it is asked for anew between two tries to come back', async () => {
    await using proxy = await startFaultProxy({ port: test.server.port });
    const db = test.connect({
      connectionString: test.server.connectionString.replace(String(test.server.port), String(proxy.port)),
      client: { application_name: 'asked anew' },
      // Pauses as long as they can be.
      pool: { random: () => 0.999 },
    });
    const sessions = (): Promise<unknown[]> =>
      test.db.query("select pid from pg_stat_activity where application_name = 'asked anew'");
    const first = await db.listen('anew', { onNotification: () => {} });
    await proxy.setFault({ kind: 'reset', afterBytes: 0 });
    await test.db.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'asked anew'",
    );
    const tries = proxy.accepted;
    await expect.poll(() => proxy.accepted, { timeout: 10_000 }).toBeGreaterThanOrEqual(tries + 5);
    await first.close();
    await proxy.setFault();
    const heard: string[] = [];
    await db.listen('anew', { onNotification: ({ payload }) => heard.push(payload) });
    // Longer than the longest pause.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await sessions()).toHaveLength(1);
    await test.db.query("select pg_notify('anew', 'once'); select pg_notify('anew', 'end')");
    await expect.poll(() => heard).toContain('end');
    expect(heard).toEqual(['once', 'end']);
    // And the one that it has comes back as well.
    await test.db.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'asked anew'",
    );
    await expect
      .poll(async () => (await test.db.query("select pg_notify('anew', 'back')")) && heard.at(-1), {
        timeout: 5_000,
      })
      .toBe('back');
  });

  it('refuses what can not be a channel', async () => {
    for (const name of ['', 'x'.repeat(64), 5, undefined])
      await expect(test.db.listen(name as never, { onNotification: () => {} })).rejects.toThrow(
        "channel's name",
      );
    await expect(test.db.listen('x', {} as never)).rejects.toThrow("'onNotification'");
  });
});

describe('session variables', () => {
  it('go back to what the role has, not to nothing, also after a failure, a deadline or a loss', async () => {
    await test.db.query("alter role current_user set app.tenant = 'default'");
    const db = test.connect({ pool: { max: 1 } });
    const read = async () => (await db.query("select current_setting('app.tenant') as t"))[0]!.t;
    const bound = db.withVariables({ 'app.tenant': 'seven' });
    expect(await read()).toBe('default');
    expect(await bound.query("select current_setting('app.tenant') as t")).toEqual([{ t: 'seven' }]);
    expect(await read()).toBe('default');
    expect(await codeOf(bound.query('select 1 / 0'))).toBe('22012');
    expect(await read()).toBe('default');
    expect(await codeOf(bound.query('select pg_sleep(5)', [], { timeoutMs: 50 }))).toBe(
      'HOTPATH_PG_QUERY_TIMEOUT',
    );
    expect(await read()).toBe('default');
    expect(await codeOf(bound.query('select pg_terminate_backend(pg_backend_pid())'))).toBe(
      'HOTPATH_PG_CONNECTION_LOST',
    );
    expect(await read()).toBe('default');
    await bound.kysely.transaction().execute(async (transaction) => {
      await transaction.selectFrom('users').select('id').where('id', '=', 1).execute();
    });
    expect(await read()).toBe('default');
    await test.db.query('alter role current_user reset app.tenant');
  });
});

describe("a transaction's handle", () => {
  it('is of no use after its callback has settled, so that it can not reach the next user of the connection', async () => {
    const db = test.connect({ pool: { max: 1 } });
    const kept = await db.transaction(async (transaction) => {
      let inner: typeof transaction | undefined;
      await transaction.transaction(async (nested) => {
        inner = nested;
        await nested.query('select 1');
      });
      return { transaction, kysely: transaction.kysely, inner: inner! };
    });
    expect(await codeOf(kept.transaction.query('select 1'))).toBe('HOTPATH_PG_TRANSACTION_OVER');
    expect(await codeOf(kept.inner.query('select 1'))).toBe('HOTPATH_PG_TRANSACTION_OVER');
    expect(await codeOf(kept.transaction.transaction(async () => {}))).toBe('HOTPATH_PG_TRANSACTION_OVER');
    expect(await codeOf(kept.kysely.selectFrom('users').selectAll().execute())).toBe(
      'HOTPATH_PG_TRANSACTION_OVER',
    );
    let failed: { query(text: string): Promise<unknown> } | undefined;
    await db
      .transaction(async (transaction) => {
        failed = transaction;
        throw new Error('back');
      })
      .catch(() => {});
    expect(await codeOf(failed!.query('select 1'))).toBe('HOTPATH_PG_TRANSACTION_OVER');
  });
});
