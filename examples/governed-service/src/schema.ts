import type { Generated } from 'kysely';

export const POLICY_STATUSES = ['draft', 'active', 'retired'] as const;
export type PolicyStatus = (typeof POLICY_STATUSES)[number];

export interface PolicyMetadata {
  readonly constitutional_hash: string;
  readonly [key: string]: unknown;
}

/** The tables as Kysely sees them. */
export interface Database {
  policies: {
    id: number;
    name: string;
    version: number;
    status: PolicyStatus;
    description: string;
    metadata: PolicyMetadata;
    updated_at: Generated<Date>;
  };
  audit_logs: {
    id: Generated<string>;
    entity_type: string;
    entity_id: string;
    action: string;
    details: unknown;
    created_at: Generated<Date>;
  };
  constitutional_entities: {
    id: Generated<string>;
    name: string;
    constitutional_hash: string;
  };
  service_metrics: {
    id: Generated<string>;
    service_name: string;
    status: string;
    value: number;
    created_at: Generated<Date>;
  };
  performance_metrics: {
    id: Generated<string>;
    service_name: string;
    metric_type: string;
    value: number;
    timestamp: Generated<Date>;
  };
}

/** Creates what is missing; safe to run by several instances at once, under one lock. */
export const SCHEMA: readonly string[] = [
  "select pg_advisory_xact_lock(hashtext('governed-service schema'))",
  `create table if not exists policies (
    id integer primary key,
    name text not null,
    version integer not null,
    status text not null check (status in ('draft', 'active', 'retired')),
    description text not null,
    metadata jsonb not null,
    updated_at timestamptz not null default now()
  )`,
  `create table if not exists audit_logs (
    id bigint generated always as identity primary key,
    entity_type text not null,
    entity_id text not null,
    action text not null,
    details jsonb not null,
    created_at timestamptz not null default now()
  )`,
  `create table if not exists constitutional_entities (
    id bigint generated always as identity primary key,
    name text not null,
    constitutional_hash text not null
  )`,
  `create table if not exists service_metrics (
    id bigint generated always as identity primary key,
    service_name text not null,
    status text not null,
    value double precision not null,
    created_at timestamptz not null default now()
  )`,
  `create table if not exists performance_metrics (
    id bigint generated always as identity primary key,
    service_name text not null,
    metric_type text not null,
    value double precision not null,
    timestamp timestamptz not null default now()
  )`,
];

const SUBJECTS = [
  'payments',
  'identity',
  'records',
  'messaging',
  'inference',
  'storage',
  'billing',
  'search',
];
const RULES = ['retention', 'access', 'disclosure', 'review', 'escalation', 'consent'];

/** The rows that the service begins with: reproducible, five of seven active. */
export function* seedRows(
  count: number,
  constitutionalHash: string,
): Generator<Omit<Database['policies'], 'updated_at'>> {
  for (let id = 1; id <= count; id++) {
    const subject = SUBJECTS[id % SUBJECTS.length] as string;
    const rule = RULES[id % RULES.length] as string;
    yield {
      id,
      name: `${subject}-${rule}-${id}`,
      version: 1 + (id % 4),
      status: id % 7 < 5 ? 'active' : id % 7 === 5 ? 'draft' : 'retired',
      description: `Governs ${rule} in ${subject}: number ${id} of its kind.`,
      metadata: { constitutional_hash: constitutionalHash, owner: `${subject}-team` },
    };
  }
}
