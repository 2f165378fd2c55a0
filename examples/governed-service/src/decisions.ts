import { randomUUID } from 'node:crypto';
import type { Milliseconds } from '@hotpath/core';
import type { HttpClient } from '@hotpath/http';
import { EVIDENCE_KINDS, type Evidence, type EvidenceKind } from './evidence-server.ts';
import type { Policy } from './policies.ts';

export interface DecisionRequest {
  readonly policyId: number;
  readonly action: string;
  readonly subject: string;
}

/** What became known of one kind of evidence. */
export type Finding =
  | { readonly status: 'ok'; readonly score: number }
  | { readonly status: 'unavailable'; readonly code: string };

export interface Decision {
  readonly id: string;
  readonly policyId: number;
  readonly policyVersion: number;
  readonly action: string;
  readonly subject: string;
  /** `review`: a person has to look, because evidence is missing or the scores are mixed. */
  readonly outcome: 'allow' | 'deny' | 'review';
  readonly evidence: Readonly<Record<EvidenceKind, Finding>>;
  /** Whether a piece of evidence was missing. */
  readonly degraded: boolean;
}

const DENY_FROM = 0.7;
const REVIEW_FROM = 0.5;

/** Decides over an action under a policy by the evidence that can be had within `timeoutMs`. */
export async function decide(
  request: DecisionRequest,
  policy: Policy,
  evidenceClient: HttpClient,
  timeoutMs: Milliseconds,
): Promise<Decision> {
  const subject = encodeURIComponent(request.subject);
  const answers = await evidenceClient.gather(
    EVIDENCE_KINDS.map((kind) => ({ method: 'GET', path: `/evidence/${kind}/${subject}` })),
    { timeoutMs },
  );
  const evidence = {} as Record<EvidenceKind, Finding>;
  answers.forEach((answer, index) => {
    const kind = EVIDENCE_KINDS[index] as EvidenceKind;
    evidence[kind] =
      answer.status === 'ok'
        ? { status: 'ok', score: (answer.value.data as Evidence).score }
        : { status: 'unavailable', code: codeOf(answer.error) };
  });
  const { policyId, action } = request;
  return {
    id: randomUUID(),
    policyId,
    policyVersion: policy.version,
    action,
    subject: request.subject,
    outcome: outcomeOf(policy, Object.values(evidence)),
    evidence,
    degraded: Object.values(evidence).some((finding) => finding.status !== 'ok'),
  };
}

/** Fails closed: only an active policy with complete, low evidence allows. */
export function outcomeOf(policy: Pick<Policy, 'status'>, findings: readonly Finding[]): Decision['outcome'] {
  const scores = findings.map((finding) => (finding.status === 'ok' ? finding.score : undefined));
  if (policy.status !== 'active' || scores.some((score) => score !== undefined && score >= DENY_FROM))
    return 'deny';
  if (scores.some((score) => score === undefined || score >= REVIEW_FROM)) return 'review';
  return 'allow';
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
