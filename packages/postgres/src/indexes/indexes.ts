import { type Clock, type Milliseconds, optionReader, type RandomSource } from '@hotpath/core';
import type { DirectSession } from '../direct-session.ts';
import { type BuildContext, carryOut } from './build.ts';
import { checkDefinitions, type IndexDefinition } from './definition.ts';
import { dropIndexLock, takeIndexLock } from './lock.ts';
import { type IndexPlan, type PlannedIndex, planIndexes } from './plan.ts';
import type { IndexProgress } from './progress.ts';
import { type IndexReport, reportIndexes } from './report.ts';

/** What {@link Indexes.apply} takes besides the definitions. */
export interface ApplyOptions {
  /** How long to wait for another runner. Default 600,000. */
  readonly lockTimeoutMs?: Milliseconds;
  /** How long one build may take. Default 3,600,000; 0 means without end. */
  readonly buildTimeoutMs?: Milliseconds;
  /** How long a short statement (rename, comment) waits for its lock before it steps back and tries again. Default 2,000. */
  readonly ddlLockTimeoutMs?: Milliseconds;
  /** How often a statement is tried again after a lock timeout or a deadlock. Default 5. */
  readonly retries?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: IndexProgress) => void;
}

/** What {@link Indexes.apply} did. */
export interface AppliedIndexes {
  /** What was carried out, in order; empty when there was nothing to do. */
  readonly done: readonly PlannedIndex[];
  /** What could not be done, with the reason. */
  readonly blocked: readonly PlannedIndex[];
  /** Indexes that were declared once and are not now; they are left alone. */
  readonly orphans: readonly string[];
}

/** Declared indexes: compared, built without an outage, and looked after. */
export interface Indexes {
  /** What {@link apply} would do. Changes nothing. */
  plan(definitions: readonly IndexDefinition[]): Promise<IndexPlan>;
  /**
   * Brings the indexes to what is declared, one runner at a time, without keeping anybody from reading or writing.
   *
   * Safe to stop at any moment and to run again, and for many to run at once: one works, the others wait
   * and then find nothing to do.
   *
   * @throws UpstreamError (HOTPATH_PG_INDEX_FAILED) when one can't be built; TimeoutError
   * (HOTPATH_PG_INDEX_LOCK_TIMEOUT, HOTPATH_PG_QUERY_TIMEOUT); the signal's reason, untouched.
   */
  apply(definitions: readonly IndexDefinition[], options?: ApplyOptions): Promise<AppliedIndexes>;
  /** What is wrong or wasteful with the indexes of the database. Changes nothing. */
  report(definitions?: readonly IndexDefinition[]): Promise<IndexReport>;
}

/** How sessions for index work are opened. */
export interface IndexSessions {
  open(): Promise<DirectSession>;
  /** Aborted when nothing must go on. */
  readonly owner: AbortSignal;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** A killed runner's session ends within this, instead of when its build is through. */
const CLIENT_CHECK = `select set_config('client_connection_check_interval', '1000', false)`;

export function createIndexes({ open, owner, clock, random }: IndexSessions): Indexes {
  const prepared = async (): Promise<DirectSession> => {
    const session = await open();
    await session.run(
      "set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = '60s'",
    );
    // Not every system can do it; without it, the next runner waits for the end of the orphaned build.
    await session.run(CLIENT_CHECK).catch(() => {});
    return session;
  };
  return {
    async plan(definitions) {
      checkDefinitions(definitions);
      await using session = await prepared();
      return await planIndexes(session, definitions);
    },

    async apply(definitions, options = {}) {
      checkDefinitions(definitions);
      const read = optionReader('indexes.apply', options);
      const lockTimeoutMs = read.number('lockTimeoutMs', 600_000, { min: 0 });
      const limits = {
        buildTimeoutMs: read.number('buildTimeoutMs', 3_600_000, { min: 0 }),
        ddlLockTimeoutMs: read.number('ddlLockTimeoutMs', 2_000, { min: 1 }),
        retries: read.integer('retries', 5, { min: 0 }),
        signal: anyOf(owner, read.object<AbortSignal | undefined>('signal', undefined)),
        onProgress: read.function<ApplyOptions['onProgress']>('onProgress', undefined),
      };
      read.end();
      await using session = await prepared();
      await takeIndexLock(session, lockTimeoutMs, clock, random, limits.signal);
      await using watcher = await prepared();
      const context: BuildContext = { session, watcher, clock, random, ...limits };
      const plan = await planIndexes(session, definitions);
      const done: PlannedIndex[] = [];
      const blocked: PlannedIndex[] = [];
      for (const item of plan.items) {
        if (item.action === 'none') continue;
        if (item.action === 'blocked') {
          blocked.push(item);
          continue;
        }
        limits.signal.throwIfAborted();
        const definition = definitions.find(({ name }) => name === item.name)!;
        await carryOut(context, definition, item);
        done.push(item);
      }
      await dropIndexLock(session);
      return { done, blocked, orphans: plan.orphans };
    },

    async report(definitions = []) {
      checkDefinitions(definitions);
      await using session = await prepared();
      return await reportIndexes(session, definitions);
    },
  };
}

function anyOf(owner: AbortSignal, given: AbortSignal | undefined): AbortSignal {
  return given === undefined ? owner : AbortSignal.any([owner, given]);
}
