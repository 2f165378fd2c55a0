import { notRun, queryTimeout, rolledBack, typedQueryError } from '../errors.ts';
import type { PooledConnection } from '../pool/pooled-connection.ts';
import { sendCancelRequest } from '../wire/cancel-request.ts';
import {
  type PipelinedResult,
  type PipelinedStatement,
  PipelineExchange,
} from '../wire/pipeline-exchange.ts';
import type { Executor } from './executor.ts';
import type { QueryOptions } from './query-task.ts';

/** One query of a batch. */
export interface BatchQuery {
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** What {@link runBatch} takes besides the queries. */
export interface BatchOptions extends QueryOptions {
  /** Whether the queries are one transaction: all or none. Default true. */
  readonly atomic?: boolean;
}

/** What one query of a batch gave. */
export type BatchResult =
  | {
      readonly status: 'ok';
      readonly rows: Record<string, unknown>[];
      readonly rowCount: number | null;
      readonly command: string | null;
    }
  | { readonly status: 'error'; readonly error: unknown };

const CANCEL_GRACE_MS = 2_000;

/** Sends all queries in one write on one connection, and reads what each gave. */
export async function runBatch(
  executor: Executor,
  queries: readonly BatchQuery[],
  { atomic = true, signal, timeoutMs = executor.queryTimeoutMs }: BatchOptions = {},
): Promise<BatchResult[]> {
  if (queries.length === 0) return [];
  const connection = await executor.acquire({ signal, timeoutMs });
  const results = await onConnection(executor, connection, queries, atomic, timeoutMs, signal);
  if (!atomic) return results.map(resultOf);
  results.forEach((result, i) => {
    const asked = queries[i]!.text.trim().toUpperCase();
    // A COMMIT after a failure is answered with ROLLBACK, as if that were fine.
    if (result.tag.command === 'ROLLBACK' && /^(?:COMMIT|END)\b/.test(asked)) throw rolledBack();
  });
  return results.map(resultOf);
}

function resultOf(result: PipelinedResult): BatchResult {
  if (result.error !== undefined) return { status: 'error', error: typedQueryError(result.error) };
  const { rows, tag } = result;
  return {
    status: 'ok',
    rows: rows as Record<string, unknown>[],
    rowCount: tag.rowCount,
    command: tag.command,
  };
}

function onConnection(
  executor: Executor,
  connection: PooledConnection,
  statements: readonly PipelinedStatement[],
  atomic: boolean,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<PipelinedResult[]> {
  return new Promise((resolve, reject) => {
    const { clock } = executor;
    const giveUp = (reason: unknown): void => {
      reject(reason);
      connection.cancelling = sendCancelRequest(connection.client, CANCEL_GRACE_MS);
      const last = clock.setTimeout(() => connection.destroy(), CANCEL_GRACE_MS);
      ended.push(() => clock.clearTimeout(last));
    };
    const ended: (() => void)[] = [];
    if (timeoutMs > 0) {
      const timer = clock.setTimeout(() => giveUp(queryTimeout(timeoutMs)), timeoutMs);
      ended.push(() => clock.clearTimeout(timer));
    }
    if (signal !== undefined) {
      const onAbort = (): void => giveUp(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      ended.push(() => signal.removeEventListener('abort', onAbort));
    }
    connection.wire!.query(
      new PipelineExchange(connection.wire!, statements, atomic, (error, results) => {
        for (const end of ended) end();
        executor.release(connection);
        if (error === undefined) return resolve(results);
        for (const result of results) if (!result.complete) result.error ??= notRun(error);
        reject(typedQueryError(error));
      }),
    );
  });
}
