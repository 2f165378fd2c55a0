import type { Case, Figures } from './suite.ts';

/** Plays a scenario once. */
export async function measureScenario(entry: Case): Promise<Figures> {
  const figures = (await entry.run(0)) as Figures;
  await entry.check(figures, 0);
  return figures;
}
