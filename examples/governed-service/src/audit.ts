import type { AuditLog } from '@hotpath/constitution';
import type { Postgres } from '@hotpath/postgres';
import type { Decision } from './decisions.ts';
import type { Database } from './schema.ts';

/** `down`: the latest decision could not be written to the log. */
export type AuditState = 'up' | 'down';

/** Where every decision leaves its trace. */
export interface AuditTrail {
  readonly state: AuditState;
  /** Resolves when the trace is durable: a row to query, and an entry that can't be changed unnoticed. */
  record(decision: Decision): Promise<void>;
}

export function createAuditTrail(
  db: Postgres<Database>,
  log: AuditLog,
  constitutionalHash: string,
): AuditTrail {
  let state: AuditState = 'up';
  return {
    get state() {
      return state;
    },
    record: async (decision) => {
      const { id, policyId, action, subject, outcome } = decision;
      const { policyId: _, ...details } = decision;
      await db.kysely
        .insertInto('audit_logs')
        .values({
          entity_type: 'policy',
          entity_id: String(policyId),
          action: `decision:${outcome}`,
          details: JSON.stringify({ ...details, constitutionalHash }),
        })
        .execute();
      try {
        await log.commit({
          who: subject,
          what: `${action} under policy ${policyId}`,
          decision: outcome,
          details: { id },
        });
        state = 'up';
      } catch (error) {
        state = 'down';
        throw error;
      }
    },
  };
}
