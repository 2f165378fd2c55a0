import { randomUUID } from 'node:crypto';
import type { EvidenceSource, Finding, Findings } from './evidence.ts';
import type { Policy } from './policies.ts';

export interface DecisionRequest {
  readonly policyId: number;
  readonly action: string;
  readonly subject: string;
}

export interface Decision {
  readonly id: string;
  readonly policyId: number;
  readonly policyVersion: number;
  readonly action: string;
  readonly subject: string;
  /** `review`: a person has to look, because evidence is missing or the scores are mixed. */
  readonly outcome: 'allow' | 'deny' | 'review';
  readonly evidence: Findings;
  /** Whether a piece of evidence was missing. */
  readonly degraded: boolean;
}

const DENY_FROM = 0.7;
const REVIEW_FROM = 0.5;

/** Decides over an action under a policy by the evidence that can be had. */
export async function decide(
  request: DecisionRequest,
  policy: Policy,
  source: EvidenceSource,
): Promise<Decision> {
  const { policyId, action, subject } = request;
  const evidence = await source.about(subject);
  const findings = Object.values(evidence);
  return {
    id: randomUUID(),
    policyId,
    policyVersion: policy.version,
    action,
    subject,
    outcome: outcomeOf(policy, findings),
    evidence,
    degraded: findings.some((finding) => finding.status !== 'ok'),
  };
}

/** Fails closed: only an active policy with complete, low evidence allows. */
export function outcomeOf(policy: Pick<Policy, 'status'>, findings: readonly Finding[]): Decision['outcome'] {
  const scores = findings.map((finding) => (finding.status === 'ok' ? finding.score : undefined));
  if (policy.status !== 'active' || scores.some((score) => score !== undefined && score >= DENY_FROM)) {
    return 'deny';
  }
  return scores.some((score) => score === undefined || score >= REVIEW_FROM) ? 'review' : 'allow';
}
