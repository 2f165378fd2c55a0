export async function runAgainst(..._: unknown[]): Promise<boolean> {
  throw new Error('--against is not there yet');
}
