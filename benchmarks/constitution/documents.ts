/** A decision record of about 1 KB as JSON, with its keys in no order. */
export function documentOf(seed: number) {
  return {
    title: `Decision record ${seed}`,
    id: 1_000_000 + seed,
    active: seed % 2 === 0,
    weight: 0.1 + seed / 3,
    limits: { burst: 50, perMs: 1_000, exempt: ['/health', '/stats'], ratio: 1e-7 },
    approvedBy: ['ada', 'grace', 'barbara', 'frances'],
    text: 'No request is carried out before its hash was found to be the one in force. '.repeat(3),
    constitution: {
      hash: 'cdd01ef066bc6cf2',
      version: 3,
      validFrom: '2026-01-01T00:00:00Z',
      validUntil: null,
    },
    evidence: Array.from({ length: 5 }, (_, index) => ({
      source: `endpoint-${index}`,
      score: index / 7 + seed,
      outcome: index % 2 === 0 ? 'allow' : 'deny',
      latencyMs: 12.5 * index,
    })),
    'naïve "quoted" key': 'ünïcode\n\ttext',
  };
}

/** Slow and obvious canonical JSON (RFC 8785) of what JSON can carry. */
export function obviouslyCanonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(obviouslyCanonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${obviouslyCanonical(member)}`);
  return `{${members.join(',')}}`;
}
