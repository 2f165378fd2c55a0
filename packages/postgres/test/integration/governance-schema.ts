/** The tables of a governed service, with so many rows each. */
export const GOVERNANCE_SCHEMA = (rows: number): string => `
create table policies (id int primary key, name text not null, version int not null, status text not null, description text, metadata jsonb not null);
create table audit_logs (id bigint generated always as identity primary key, entity_type text not null, entity_id text not null, action text not null, details jsonb not null, created_at timestamptz not null default now());
create table constitutional_entities (id bigint generated always as identity primary key, name text not null, constitutional_hash text not null);
create table service_metrics (id bigint generated always as identity primary key, service_name text not null, status text not null, value float8 not null, created_at timestamptz not null default now());
create table performance_metrics (id bigint generated always as identity primary key, service_name text not null, metric_type text not null, value float8 not null, timestamp timestamptz not null default now());
insert into policies select g, 'policy ' || g, 1 + g % 4, case when g % 50 = 0 then 'active' else 'retired' end, 'about subject' || g % 5000, jsonb_build_object('constitutional_hash', case when g % 1000 = 0 then 'cdd01ef066bc6cf2' else md5(g::text) end) from generate_series(1, ${rows}) g;
insert into audit_logs (entity_type, entity_id, action, details, created_at) select 'policy', (g % 1000)::text, 'read', '{}', now() - g * interval '1 second' from generate_series(1, ${rows}) g;
insert into constitutional_entities (name, constitutional_hash) select 'e' || g, case when g % 100 = 0 then 'cdd01ef066bc6cf2' else md5(g::text) end from generate_series(1, ${rows}) g;
insert into service_metrics (service_name, status, value, created_at) select 's' || g % 100, case when g % 10 = 0 then 'failed' else 'ok' end, g, now() - g * interval '1 second' from generate_series(1, ${rows}) g;
insert into performance_metrics (service_name, metric_type, value, timestamp) select 's' || g % 100, 'm' || g % 10, g, now() - g * interval '1 second' from generate_series(1, ${rows}) g;
analyze`;

/** A hot query for each of the seven indexes. */
export const GOVERNANCE_QUERIES = (hash: string): Record<string, string> => ({
  idx_constitutional_entities_hash: `select * from constitutional_entities where constitutional_hash = '${hash}'`,
  idx_service_metrics_service_status_created:
    "select * from service_metrics where service_name = 's7' and status = 'ok' order by created_at desc limit 20",
  idx_policies_active:
    "select id, name, version from policies where status = 'active' and id between 100 and 5000",
  idx_policies_metadata_hash: `select * from policies where metadata->>'constitutional_hash' = '${hash}'`,
  idx_audit_logs_entity_created:
    "select * from audit_logs where entity_type = 'policy' and entity_id = '17' order by created_at desc limit 20",
  idx_performance_metrics_service_type_time:
    "select * from performance_metrics where service_name = 's3' and metric_type = 'm3' order by timestamp desc limit 20",
  idx_policies_full_text:
    "select * from policies where to_tsvector('english', coalesce(name, '') || ' ' || coalesce(description, '')) @@ websearch_to_tsquery('english', 'subject42')",
});
