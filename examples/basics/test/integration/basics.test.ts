import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type PostgresServer,
  type RedisServer,
  spawnNode,
  startPostgres,
  startRedis,
} from '@hotpath/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const folder = join(import.meta.dirname, '..', '..', 'src');

/** What each example prints. */
const PRINTED: Record<string, string[]> = {
  cache: ['4 4 loads: 1', 'confirmed: true', '5 loads: 2'],
  constitution: ['approved: 81d9bb418819d4d1', 'ok', 'unknown', 'ok', 'unknown'],
  core: ['reviews: 3 entries', 'stock: Error: stock is closed', 'prices: 3 entries'],
  http: ['20 of 20 succeeded', '/items/0'],
  postgres: ['{ inserted: 1000, updated: 0, unchanged: 0 }', "[ 'user 7', 'user 8', 'user 9', undefined ]"],
  resilience: ['42', '18 calls were refused at once'],
};

let redis: RedisServer;
let postgres: PostgresServer;

beforeAll(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
});

afterAll(async () => {
  await Promise.all([redis?.[Symbol.asyncDispose](), postgres?.[Symbol.asyncDispose]()]);
});

describe.each(globSync('*.ts', { cwd: folder }).sort())('%s', (file) => {
  test('prints what it says and ends by itself', { timeout: 30_000 }, async () => {
    const env = { REDIS_URL: redis.url, DATABASE_URL: postgres.connectionString };
    await using child = spawnNode(join(folder, file), [], { env });
    const exit = await child.exited;
    expect({ ...exit, stderr: child.stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const printed = PRINTED[file.replace('.ts', '')] ?? [];
    expect(printed.length, 'an example needs a line of what it prints').toBeGreaterThan(0);
    for (const line of printed) expect(child.stdout).toContain(line);
  });

  test('is at most 60 lines long', () => {
    expect(readFileSync(join(folder, file), 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  });
});
