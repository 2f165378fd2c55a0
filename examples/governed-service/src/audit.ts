import type { Postgres } from '@hotpath/postgres';
import type { Decision } from './decisions.ts';
import type { Database } from './schema.ts';

/** Where every decision leaves its trace. */
export interface AuditTrail {
  /** Resolves when the trace is durable. */
  record(decision: Decision): Promise<void>;
}

export function createAuditTrail(db: Postgres<Database>, constitutionalHash: string): AuditTrail {
  return {
    record: async (decision) => {
      const { policyId, ...details } = decision;
      await db.kysely
        .insertInto('audit_logs')
        .values({
          entity_type: 'policy',
          entity_id: String(policyId),
          action: `decision:${decision.outcome}`,
          details: JSON.stringify({ ...details, constitutionalHash }),
        })
        .execute();
    },
  };
}
