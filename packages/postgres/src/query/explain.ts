import { hash } from 'node:crypto';
import type { Milliseconds } from '@hotpath/core';
import { sqlState } from '../errors.ts';
import type { Executor } from './executor.ts';

/** How a statement is explained. */
export interface ExplainOptions {
  /** Whether it is run to measure it, where it only reads. Default true. */
  readonly analyze?: boolean;
  /** Default 10,000. */
  readonly timeoutMs?: Milliseconds;
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
  { analyze = true, timeoutMs = DEFAULT_TIMEOUT_MS }: ExplainOptions = {},
): Promise<Explanation> {
  if (analyze) {
    try {
      return await explainOnce(executor, ANALYZE, text, values, timeoutMs);
    } catch (error) {
      if (sqlState(error) !== READ_ONLY_TRANSACTION) throw error;
    }
  }
  return explainOnce(executor, PLAN_ONLY, text, values, timeoutMs);
}

async function explainOnce(
  executor: Executor,
  how: string,
  text: string,
  values: readonly unknown[],
  timeoutMs: Milliseconds,
): Promise<Explanation> {
  const connection = await executor.acquire({ timeoutMs });
  const statement = `${how} ${text}`;
  try {
    await executor.runOn(connection, 'begin transaction read only');
    try {
      await executor.runOn(connection, "select set_config('statement_timeout', $1, true)", [
        String(Math.ceil(timeoutMs)),
      ]);
      // Never by the simple protocol, which would run a second statement after a semicolon.
      const { rows } = await executor.runAlone(connection, statement, values, { timeoutMs });
      const [first] = (rows[0] as { 'QUERY PLAN': { Plan: PlanNode }[] })['QUERY PLAN'];
      const plan = first as unknown as Record<string, unknown>;
      const indexes = new Set<string>();
      const shape = shapeOf(first!.Plan, indexes);
      return {
        plan,
        analyzed: how === ANALYZE,
        planHash: hash('sha256', shape).slice(0, 16),
        indexes: [...indexes],
      };
    } finally {
      if (connection.usable) await executor.runOn(connection, 'rollback');
    }
  } finally {
    executor.release(connection);
  }
}

function shapeOf(node: PlanNode, indexes: Set<string>): string {
  const index = node['Index Name'];
  if (index !== undefined) indexes.add(index);
  const own = [node['Node Type'], node.Strategy, node['Join Type'], node['Relation Name'], index].join('|');
  return `${own}(${(node.Plans ?? []).map((child) => shapeOf(child, indexes)).join(',')})`;
}
