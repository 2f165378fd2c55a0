import { abortable, type Clock, type Milliseconds, optionReader, type RandomSource } from '@hotpath/core';
import type { DirectSession } from '../direct-session.ts';
import { readSignal } from '../query/time-limit.ts';
import { type BuildContext, carryOut } from './build.ts';
import { checkDefinitions, type IndexDefinition } from './definition.ts';
import { dropIndexLock, takeIndexLock } from './lock.ts';
import { type IndexPlan, type PlannedIndex, planIndexes } from './plan.ts';
import type { IndexProgress } from './progress.ts';
import { type IndexReport, reportIndexes } from './report.ts';

/** What {@link Indexes.apply} takes besides the definitions. */
export interface ApplyOptions {
  /** How long to wait for another runner. Default 600,000. */
  readonly lockTimeoutMs?: Milliseconds | undefined;
  /** How long one build may take. Default 3,600,000; 0 means without end. */
  readonly buildTimeoutMs?: Milliseconds | undefined;
  /** How long a short statement (rename, comment) waits for its lock before it steps back and tries again. Default 2,000. */
  readonly ddlLockTimeoutMs?: Milliseconds | undefined;
  /** How often a statement is tried again after a lock timeout or a deadlock. Default 5. */
  readonly retries?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: IndexProgress) => void) | undefined;
}

/** What {@link Indexes.plan} and {@link Indexes.report} take besides the definitions. */
export interface LookOptions {
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
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
  /**
   * Says what {@link apply} would do, statement by statement. Changes nothing.
   *
   * @throws What the server says to a definition that it does not accept; UnavailableError (HOTPATH_PG_DOWN) when it
   * can't be reached; TypeError or RangeError for what is no definition; the signal's reason, untouched.
   */
  plan(definitions: readonly IndexDefinition[], options?: LookOptions): Promise<IndexPlan>;
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
  /**
   * Lists what is wrong or wasteful with the indexes of the database, and what of the definitions is missing. Changes
   * nothing.
   *
   * @throws What {@link plan} throws.
   */
  report(definitions?: readonly IndexDefinition[], options?: LookOptions): Promise<IndexReport>;
}

/** How sessions for index work are opened. */
export interface IndexSessions {
  open(): Promise<DirectSession>;
  /** Aborted when nothing must go on. */
  readonly owner: AbortSignal;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** For what only looks, and for settings and comments; a build has its own. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** A killed runner's session ends within this, instead of when its build is through. */
const CLIENT_CHECK = `select set_config('client_connection_check_interval', '1000', false)`;

export function createIndexes({ open, owner, clock, random }: IndexSessions): Indexes {
  const prepared = async (): Promise<DirectSession> => {
    const session = await open();
    session.timeoutMs = STATEMENT_TIMEOUT_MS;
    await session.run(
      "set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = '60s'",
    );
    // Not every system can do it; without it, the next runner waits for the end of the orphaned build.
    await session.run(CLIENT_CHECK).catch(() => {});
    return session;
  };
  /** One that comes too late is closed when it is there. */
  const openUntil = async (signal: AbortSignal): Promise<DirectSession> => {
    signal.throwIfAborted();
    const opening = prepared();
    try {
      return await abortable(opening, signal);
    } catch (error) {
      opening.then(
        (session) => session.close(),
        () => {},
      );
      throw error;
    }
  };
  // Not by `using`, which Node 22 can't read where it runs the sources as they are.
  const inSession = async <Result>(
    signal: AbortSignal,
    work: (session: DirectSession) => Promise<Result>,
  ): Promise<Result> => {
    const session = await openUntil(signal);
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  };
  const signalOf = (name: string, options: LookOptions | undefined): AbortSignal => {
    const read = optionReader(name, options);
    const signal = anyOf(owner, readSignal(read));
    read.end();
    return signal;
  };
  return {
    async plan(definitions, options) {
      checkDefinitions(definitions);
      const signal = signalOf('indexes.plan', options);
      return inSession(signal, (session) => abortable(planIndexes(session, definitions), signal));
    },

    async apply(definitions, options = {}) {
      checkDefinitions(definitions);
      const read = optionReader('indexes.apply', options);
      const lockTimeoutMs = read.number('lockTimeoutMs', 600_000, { min: 0 });
      const limits = {
        buildTimeoutMs: read.number('buildTimeoutMs', 3_600_000, { min: 0 }),
        ddlLockTimeoutMs: read.number('ddlLockTimeoutMs', 2_000, { min: 1 }),
        retries: read.integer('retries', 5, { min: 0 }),
        signal: anyOf(owner, readSignal(read)),
        onProgress: read.function<ApplyOptions['onProgress']>('onProgress', undefined),
      };
      read.end();
      return inSession(limits.signal, async (session) => {
        await takeIndexLock(session, lockTimeoutMs, clock, random, limits.signal);
        return inSession(limits.signal, async (watcher) => {
          const context: BuildContext = { session, watcher, clock, random, ...limits };
          const plan = await abortable(planIndexes(session, definitions), limits.signal);
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
        });
      });
    },

    async report(definitions = [], options) {
      checkDefinitions(definitions);
      const signal = signalOf('indexes.report', options);
      return inSession(signal, (session) => abortable(reportIndexes(session, definitions), signal));
    },
  };
}

function anyOf(owner: AbortSignal, given: AbortSignal | undefined): AbortSignal {
  return given === undefined ? owner : AbortSignal.any([owner, given]);
}
