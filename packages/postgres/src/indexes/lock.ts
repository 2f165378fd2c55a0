import { type Clock, type Milliseconds, type RandomSource, sleep } from '@hotpath/core';
import type { DirectSession } from '../direct-session.ts';
import { indexLockTimeout } from '../errors.ts';

/** Two halves of the key under which only one runner migrates indexes in a database: 'hotp' and 'indx'. */
const KEY = [0x686f_7470, 0x696e_6478] as const;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;

/**
 * Takes the lock for index migrations, which ends with the session at the latest.
 *
 * It asks again and again instead of waiting in the server: a session that waits there holds a snapshot,
 * and CREATE INDEX CONCURRENTLY would wait for that one in turn.
 *
 * @throws TimeoutError (HOTPATH_PG_INDEX_LOCK_TIMEOUT) when another runner held it all the time.
 */
export async function takeIndexLock(
  session: DirectSession,
  timeoutMs: Milliseconds,
  clock: Clock,
  random: RandomSource,
  signal: AbortSignal | undefined,
): Promise<void> {
  const endMs = clock.now() + timeoutMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
    const { rows } = await session.run('select pg_try_advisory_lock($1, $2) as taken', KEY, { signal });
    if ((rows[0] as { taken: boolean }).taken) return;
    if (clock.now() >= endMs) throw indexLockTimeout(timeoutMs);
    await sleep(pauseMs * (0.5 + random()), { signal, clock });
  }
}

export async function dropIndexLock(session: DirectSession): Promise<void> {
  await session.run('select pg_advisory_unlock($1, $2)', KEY);
}
