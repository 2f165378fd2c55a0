import { describe, optionReader } from '@hotpath/core';
import { rolledBack, typedQueryError } from '../errors.ts';
import { type PipelinedResult, PipelineExchange } from '../wire/pipeline-exchange.ts';
import type { Executor } from './executor.ts';
import { checkStatement, type QueryOptions } from './query-task.ts';
import { readLimits, TimeLimit, within } from './time-limit.ts';

/** One query of a batch. */
export interface BatchQuery {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
}

/** What {@link runBatch} takes besides the queries. */
export interface BatchOptions extends QueryOptions {
  /** Whether the queries are one transaction: all or none. Default true. */
  readonly atomic?: boolean | undefined;
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

/** Sends all queries in one write on one connection, and reads what each gave. */
export async function runBatch(
  executor: Executor,
  queries: readonly BatchQuery[],
  options?: BatchOptions,
): Promise<BatchResult[]> {
  const read = optionReader('batch', options);
  const atomic = read.boolean('atomic', true);
  const limit = new TimeLimit(executor, readLimits(read));
  read.end();
  if (!Array.isArray(queries))
    throw new TypeError(`batch: the queries must be an array, got ${describe(queries)}`);
  for (const query of queries) checkStatement('batch', query?.text, query?.values);
  if (queries.length === 0) return [];
  const connection = await executor.acquire(limit.left());
  const answered = new Promise<readonly PipelinedResult[]>((resolve, reject) => {
    const wire = connection.wire!;
    wire.query(
      new PipelineExchange(wire, queries, atomic, (error, results) => {
        executor.release(connection);
        if (error === undefined) resolve(results);
        else reject(typedQueryError(error));
      }),
    );
  });
  const results = await within(executor, connection, answered, limit.left());
  const found = results.map((result, i) => resultOf(result, queries[i]!));
  const failed = atomic ? found.find((result) => result.status === 'error') : undefined;
  if (failed !== undefined) throw failed.error;
  return found;
}

const endsTransaction = /^\s*(?:commit|end)\b/i;

function resultOf({ error, rows, tag }: PipelinedResult, { text }: BatchQuery): BatchResult {
  if (error !== undefined) return { status: 'error', error: typedQueryError(error) };
  // A COMMIT after a failure is answered with ROLLBACK, as if that were fine.
  if (tag.command === 'ROLLBACK' && endsTransaction.test(text))
    return { status: 'error', error: rolledBack() };
  return {
    status: 'ok',
    rows: rows as Record<string, unknown>[],
    rowCount: tag.rowCount,
    command: tag.command,
  };
}
