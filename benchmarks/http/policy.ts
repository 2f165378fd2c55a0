/** What the origins of these suites answer with. */
export interface Policy {
  readonly id: string;
  readonly version: number;
}

export const policyBody: string = JSON.stringify({
  id: 'p-1',
  name: 'policy one',
  status: 'active',
  version: 3,
  rules: [1, 2, 3, 4, 5, 6, 7, 8],
  owner: 'team-governance',
  tags: ['a', 'b', 'c'],
  updated: '2026-01-01T00:00:00Z',
  note: 'x'.repeat(30),
});

/** Throws when a result is not what the origin sent. */
export function checkPolicy(value: unknown): void {
  const { id, version } = value as Policy;
  if (id !== 'p-1' || version !== 3) throw new Error(`not the policy: ${JSON.stringify(value)}`);
}
