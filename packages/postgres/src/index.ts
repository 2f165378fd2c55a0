export type { DuplicateRule } from './bulk/rows.ts';
export type { InsertOptions, UpsertCounts, UpsertOptions } from './bulk/write-many.ts';
export type { IndexDefinition, IndexKey, IndexKeyOptions, IndexMethod } from './indexes/definition.ts';
export { governanceIndexes } from './indexes/governance.ts';
export type { AppliedIndexes, ApplyOptions, Indexes, LookOptions } from './indexes/indexes.ts';
export type { IndexAction, IndexPlan, OldTransaction, PlannedIndex } from './indexes/plan.ts';
export type { IndexProgress } from './indexes/progress.ts';
export type { IndexReport, ReportedIndex } from './indexes/report.ts';
export { type CreatePoolOptions, createPool, type Pool } from './pool/create-pool.ts';
export type { PoolOptions } from './pool/pool-options.ts';
export type { PoolStats } from './pool/pool-stats.ts';
export {
  createPostgres,
  type Postgres,
  type PostgresStats,
  type ReadOnly,
  type ReadOptions,
  type StreamOptions,
} from './postgres.ts';
export type { NPlusOneOptions, PostgresOptions } from './postgres-options.ts';
export type { AcquireOptions } from './query/acquire.ts';
export type { BatchOptions, BatchQuery, BatchResult } from './query/batch.ts';
export type { ExplainOptions, Explanation } from './query/explain.ts';
export type { ListenGap, ListenOptions, Notification, Subscription } from './query/listen.ts';
export type { Loader, LoaderOptions } from './query/loader.ts';
export type { NPlusOneEvent, PlanChangeEvent, SlowQueryEvent } from './query/monitor.ts';
export type { Page, PageOptions } from './query/paginate.ts';
export type { QueryShapeStats } from './query/query-shape.ts';
export type { QueryOptions } from './query/query-task.ts';
export type { ReplicaStats, WriteToken } from './query/replicas.ts';
export type { Relation, RelationOf, WithChildren } from './query/select-in.ts';
export type { SessionVariables, VariableScope } from './query/session-variables.ts';
export type { IsolationLevel, Transaction, TransactionOptions } from './query/transaction.ts';
export type { ConnectionEvent, GenerationEvent, LeakEvent, OpenTransactionEvent } from './telemetry.ts';
