/** What the origins of these suites answer with. */
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

/** Throws when a result is not what the origin sent; a parsed text keeps the order of its keys. */
export function checkPolicy(value: unknown): void {
  const text = JSON.stringify(value);
  if (text !== policyBody) throw new Error(`not the policy: ${text}`);
}
