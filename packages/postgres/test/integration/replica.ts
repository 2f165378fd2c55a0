import { chmodSync, chownSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import type { TestDatabase } from './database.ts';

/** What a server needs to be followed. */
export const PRIMARY_SETTINGS = {
  wal_level: 'replica',
  max_wal_senders: 4,
  hot_standby: 'on',
  archive_mode: 'off',
} as const;

let made = 0;

/** A streaming replica, from a base backup by hand: the embedded server brings no pg_basebackup. */
export async function startReplica({ server, connect }: TestDatabase): Promise<PostgresServer> {
  const directory = join(tmpdir(), `hotpath-replica-${process.pid}-${made++}`);
  const client = connect({ pool: { max: 1, idleTimeoutMs: 0 } });
  await client.query("select pg_backup_start('copy', true)");
  await cp(server.directory, directory, {
    recursive: true,
    filter: (path) => !/postmaster\.(?:pid|opts)$/.test(path),
  });
  const [label] = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)');
  writeFileSync(`${directory}/backup_label`, label!.labelfile);
  writeFileSync(`${directory}/standby.signal`, '');
  const { uid, gid } = statSync(server.directory);
  const own = (path: string): void => {
    chownSync(path, uid, gid);
    if (statSync(path).isDirectory()) for (const name of readdirSync(path)) own(`${path}/${name}`);
  };
  own(directory);
  chmodSync(directory, 0o700);
  const primary = new URL(server.connectionString);
  return startPostgres({
    directory,
    persistent: false,
    settings: {
      max_connections: 200,
      hot_standby: 'on',
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=${primary.username} password=${primary.password}`,
      wal_retrieve_retry_interval: '100ms',
    },
  });
}
