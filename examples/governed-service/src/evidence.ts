import { type GatherResult, gather, type Milliseconds } from '@hotpath/core';
import type { HttpClient } from '@hotpath/http';
import { type CircuitState, circuitBreaker, registry } from '@hotpath/resilience';
import { EVIDENCE_KINDS, type Evidence, type EvidenceKind } from './evidence-server.ts';

/** What became known of one kind of evidence. */
export type Finding =
  | { readonly status: 'ok'; readonly score: number }
  | { readonly status: 'unavailable'; readonly code: string };

export type Findings = Readonly<Record<EvidenceKind, Finding>>;

/** Collects what is known of a subject; what can't be had in time is missing, and nothing else. */
export interface EvidenceSource extends AsyncDisposable {
  /** Never rejects; settles within the source's `timeoutMs`. */
  about(subject: string): Promise<Findings>;
  circuits(): Readonly<Record<string, CircuitState>>;
}

/** Each kind has a circuit of its own, so that one that is down costs the others nothing. */
export function createEvidenceSource(client: HttpClient, timeoutMs: Milliseconds): EvidenceSource {
  const circuits = registry((kind) =>
    circuitBreaker({ name: kind, minimumCalls: 10, windowMs: 10_000, openMs: 2_000 }),
  );
  const fetchOne = (kind: EvidenceKind, subject: string): Promise<Evidence> =>
    circuits
      .get(kind)
      .execute(() => client.getJson<Evidence>(`/evidence/${kind}?subject=${subject}`, { timeoutMs }));

  return {
    about: async (subject) => {
      // Not as a part of the path: there a subject of two dots would ask another endpoint.
      const encoded = encodeURIComponent(subject);
      const answers = await gather(EVIDENCE_KINDS, (kind) => fetchOne(kind, encoded));
      return Object.fromEntries(
        EVIDENCE_KINDS.map((kind, index) => [kind, findingOf(answers[index] as GatherResult<Evidence>)]),
      ) as Findings;
    },
    circuits: () =>
      Object.fromEntries([...circuits.entries()].map(([kind, circuit]) => [kind, circuit.state])),
    [Symbol.asyncDispose]: () => circuits.close(),
  };
}

/** A piece of evidence that can't be read is as good as none. */
function findingOf(answer: GatherResult<Evidence>): Finding {
  if (answer.status !== 'ok') return { status: 'unavailable', code: codeOf(answer.error) };
  const score: unknown = answer.value?.score;
  if (typeof score === 'number' && score >= 0 && score <= 1) return { status: 'ok', score };
  return { status: 'unavailable', code: 'UNREADABLE' };
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'UNKNOWN';
}
