import { describe } from '@hotpath/core';
import { quoteText } from '../identifiers.ts';
import type { IndexDefinition } from './definition.ts';

/**
 * The seven indexes for the hot queries of a governed service, bound to the hash of its governing document.
 *
 * Their names are fixed, so that another hash replaces the index that is bound to the one before.
 *
 * @example
 * await db.indexes.apply(governanceIndexes('cdd01ef066bc6cf2'));
 *
 * @throws TypeError when `constitutionalHash` is not a string of letters, digits, `:`, `.`, `_` and `-`.
 */
export function governanceIndexes(constitutionalHash: string): readonly IndexDefinition[] {
  if (typeof constitutionalHash !== 'string' || !/^[\w:.-]{1,128}$/.test(constitutionalHash)) {
    throw new TypeError(
      `governanceIndexes: the constitutional hash must be a string of letters, digits and ':._-', got ${describe(constitutionalHash)}`,
    );
  }
  return [
    {
      name: 'idx_constitutional_entities_hash',
      table: 'constitutional_entities',
      keys: ['constitutional_hash'],
      where: `constitutional_hash = ${quoteText(constitutionalHash)}`,
    },
    {
      name: 'idx_service_metrics_service_status_created',
      table: 'service_metrics',
      keys: ['service_name', 'status', { column: 'created_at', order: 'desc' }],
    },
    {
      name: 'idx_policies_active',
      table: 'policies',
      keys: ['id', 'name', 'version'],
      where: "status = 'active'",
    },
    {
      // A B-tree on the text: GIN has no operator class for text, and the queries ask for equality.
      name: 'idx_policies_metadata_hash',
      table: 'policies',
      keys: [{ jsonPath: ['metadata', 'constitutional_hash'] }],
    },
    {
      name: 'idx_audit_logs_entity_created',
      table: 'audit_logs',
      keys: ['entity_type', 'entity_id', { column: 'created_at', order: 'desc' }],
    },
    {
      name: 'idx_performance_metrics_service_type_time',
      table: 'performance_metrics',
      keys: ['service_name', 'metric_type', { column: 'timestamp', order: 'desc' }],
    },
    {
      name: 'idx_policies_full_text',
      table: 'policies',
      fullText: { columns: ['name', 'description'], language: 'english' },
    },
  ];
}
