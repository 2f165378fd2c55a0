import pg from 'pg';
import { createPostgres, createPool } from './src/index.ts';
const url = 'postgres://postgres@127.0.0.1:15999/postgres';
const what = process.argv[2]; const secs = Number(process.argv[3] ?? 3);
const setup = new pg.Client(url); await setup.connect();
await setup.query('create table if not exists bench_t (id int primary key, name text, status text, val int, at timestamptz default now())');
const { rows: [{ n }] } = await setup.query('select count(*)::int n from bench_t');
if (n < 10000) await setup.query("insert into bench_t select g, 'name'||g, 'active', g, now() from generate_series(1,10000) g on conflict do nothing");
await setup.query('create table if not exists bench_c (id int primary key, parent int, name text, val int, status text); create index if not exists bench_c_p on bench_c(parent)');
await setup.query("insert into bench_c select g, 1+(g-1)/10, 'c'||g, g, 'x' from generate_series(1,10000) g on conflict do nothing");
await setup.end();
const SQL = 'select id, name, status, val from bench_t where id = $1';
let one: (id: number) => Promise<any>; let end = async () => {};
const db = createPostgres<any>({ connectionString: url });
if (what === 'pgnamed') { const p = new pg.Pool({ connectionString: url, max: 20 }); one = (id) => p.query({ name: 's', text: SQL, values: [id] }); end = () => p.end(); }
else if (what === 'pgunnamed') { const p = new pg.Pool({ connectionString: url, max: 20 }); one = (id) => p.query(SQL, [id]); end = () => p.end(); }
else if (what === 'query') one = (id) => db.query(SQL, [id]);
else if (what === 'kysely') one = (id) => db.kysely.selectFrom('bench_t').select(['id', 'name', 'status', 'val']).where('id', '=', id).executeTakeFirst();
else if (what === 'pool') { const p = createPool({ connectionString: url, max: 20 }); one = (id) => p.query(SQL, [id]); end = () => p.close(); }
else if (what === 'loader') { const l = db.loader('bench_t', 'id', { columns: ['id', 'name', 'status', 'val'] }); one = (id) => l.load(id); }
else if (what === 'acquire') { const p = createPool({ connectionString: url, max: 20 }); one = async () => { const c = await p.connect(); c.release(); }; end = () => p.close(); }
else if (what === 'pgacquire') { const p = new pg.Pool({ connectionString: url, max: 20 }); one = async () => { const c = await p.connect(); c.release(); }; end = () => p.end(); }
const rowsFor = (k: number) => Array.from({ length: 10000 }, (_, i) => ({ id: i + 1, name: 'name' + k + i, status: 'active', val: i + k, at: new Date(1.7e12 + i) }));
if (what === 'upsert' || what === 'insert' || what === 'relation') {
  await db.query('create table if not exists bench_u (id int primary key, name text, status text, val int, at timestamptz)');
  const times = [];
  await db.query('truncate bench_u');
  if (what === 'upsert') await db.upsertMany('bench_u', rowsFor(0));
  const parents = Array.from({ length: 1000 }, (_, i) => ({ id: i + 1 }));
  for (let k = 1; k < 12; k++) {
    const rows = rowsFor(k);
    if (what === 'insert') await db.query('truncate bench_u');
    const t = performance.now();
    if (what === 'upsert') { const r = await db.upsertMany('bench_u', rows); if (r.updated !== 10000) throw r; }
    else if (what === 'insert') { const r = await db.insertMany('bench_u', rows); if (r !== 10000) throw r; }
    else { const ps = await db.query('select id, name, status from bench_t where id <= 1000'); const r = await db.selectIn(ps as any, { table: 'bench_c', foreignKey: 'parent', as: 'kids' }); if (r[5].kids.length !== 10) throw r; }
    times.push(performance.now() - t);
  }
  times.sort((a, b) => a - b);
  console.log(what, (10000 / times[5] * 1000 / 1000).toFixed(0), 'k rows/s', times[5].toFixed(1), 'ms');
} else {
  let count = 0, stop = false;
  const loop = async () => { while (!stop) { await one(1 + (count * 7919) % 10000); count++; } };
  const callers = what.endsWith('acquire') ? 1 : 64;
  const run = async (ms: number) => { stop = false; count = 0; const t = performance.now(); const c = process.cpuUsage(); const tm = setTimeout(() => { stop = true; }, ms); const iv = what.endsWith('acquire') ? setInterval(()=>{},1) : undefined;
    const ls = Array.from({ length: callers }, loop); if (what.endsWith('acquire')) { /* loop starves timers via microtasks */ } await Promise.all(ls); clearInterval(iv); const d = performance.now() - t; const u = process.cpuUsage(c); return [count / d, (u.user + u.system) / count]; };
  if (what.endsWith('acquire')) { for (let k = 0; k < 3; k++) { const t = performance.now(); for (let i = 0; i < 200000; i++) await one(1); console.log(what, ((performance.now() - t) / 200000 * 1e6).toFixed(0), 'ns'); } }
  else { await run(1000); const [k, cpu] = await run(secs * 1000); console.log(what.padEnd(10), k!.toFixed(1), 'k/s', cpu!.toFixed(1), 'us cpu'); }
}
await end(); await db.close();
