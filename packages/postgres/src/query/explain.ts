import { hash } from 'node:crypto';
import { type Milliseconds, optionReader } from '@hotpath/core';
import { sqlState } from '../errors.ts';
import type { Executor } from './executor.ts';
import { checkStatement } from './query-task.ts';
import { readLimits, TimeLimit } from './time-limit.ts';
import { runTransaction } from './transaction.ts';

/** How a statement is explained. */
export interface ExplainOptions {
  /** Whether it is run to measure it, where it only reads. Default true. */
  readonly analyze?: boolean | undefined;
  /** Default 10,000; 0 means without end. */
  readonly timeoutMs?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A plan, and what is known from running it. */
export interface Explanation {
  /** What `EXPLAIN (FORMAT JSON)` gives. */
  readonly plan: Record<string, unknown>;
  /** Whether it was run: a statement that writes is only planned. */
  readonly analyzed: boolean;
  /** The same for plans of the same shape, whatever they cost. */
  readonly planHash: string;
  /** The indexes that it uses. */
  readonly indexes: readonly string[];
}

interface PlanNode {
  readonly 'Node Type'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Join Type'?: string;
  readonly Strategy?: string;
  readonly Plans?: readonly PlanNode[];
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** The server's settings have 32 bits. */
const LARGEST_SETTING = 0x7fff_ffff;
const READ_ONLY_TRANSACTION = '25006';
const PLAN_ONLY = 'explain (format json)';
const ANALYZE = 'explain (analyze, buffers, format json)';

/**
 * Explains one statement. It is run in a transaction that the server holds read-only and that is rolled back:
 * a statement that would write is refused there, and then only planned.
 */
export async function explain(
  executor: Executor,
  text: string,
  values: readonly unknown[] = [],
  options?: ExplainOptions,
): Promise<Explanation> {
  checkStatement('explain', text, values);
  const read = optionReader('explain', options);
  const analyze = read.boolean('analyze', true);
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = readLimits(read);
  read.end();
  const limit = new TimeLimit(executor, { timeoutMs, signal });
  if (analyze) {
    try {
      return await explainOnce(executor, ANALYZE, text, values, limit);
    } catch (error) {
      if (sqlState(error) !== READ_ONLY_TRANSACTION) throw error;
    }
  }
  return explainOnce(executor, PLAN_ONLY, text, values, limit);
}

/** In a transaction that fails when it is through, so that nothing of it stays. */
async function explainOnce(
  executor: Executor,
  how: string,
  text: string,
  values: readonly unknown[],
  limit: TimeLimit,
): Promise<Explanation> {
  let found: Explanation | undefined;
  const done = new Error('explained');
  const explained = runTransaction(
    executor,
    async (connection) => {
      const { timeoutMs } = limit.left();
      const local = "select set_config('statement_timeout', $1, true)";
      await executor.runOn(
        connection,
        local,
        [String(Math.min(Math.ceil(timeoutMs), LARGEST_SETTING))],
        limit.left(),
      );
      // Never by the simple protocol, which would run a second statement after a semicolon.
      const { rows } = await executor.runAlone(connection, `${how} ${text}`, values, limit.left());
      found = explanationOf(rows[0] as PlanRow, how === ANALYZE);
      throw done;
    },
    { ...limit.left(), readOnly: true, retries: 0 },
  );
  await explained.catch((error) => {
    if (error !== done) throw error;
  });
  return found!;
}

interface PlanRow {
  readonly 'QUERY PLAN': readonly { readonly Plan: PlanNode }[];
}

function explanationOf({ 'QUERY PLAN': [first] }: PlanRow, analyzed: boolean): Explanation {
  const indexes = new Set<string>();
  const shape = shapeOf(first!.Plan, indexes);
  return {
    plan: first as unknown as Record<string, unknown>,
    analyzed,
    planHash: hash('sha256', shape).slice(0, 16),
    indexes: [...indexes],
  };
}

function shapeOf(node: PlanNode, indexes: Set<string>): string {
  const index = node['Index Name'];
  if (index !== undefined) indexes.add(index);
  const own = [node['Node Type'], node.Strategy, node['Join Type'], node['Relation Name'], index].join('|');
  return `${own}(${(node.Plans ?? []).map((child) => shapeOf(child, indexes)).join(',')})`;
}
