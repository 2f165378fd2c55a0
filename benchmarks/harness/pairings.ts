import type { FoundSuite } from './discover.ts';
import { comparedFigure } from './figures.ts';
import { versionOf } from './machine.ts';
import { keyOf, type Results, type SuiteResult } from './results.ts';
import type { Goal } from './suite.ts';

/** One contender of ours in one suite, before and now. */
export interface Pairing {
  /** `package/suite: contender`. */
  readonly name: string;
  readonly found: FoundSuite;
  readonly earlier: SuiteResult;
  readonly ours: string;
  /** Who it is measured by; undefined: a suite of ours alone, whose figures are compared as they are. */
  readonly reference: string | undefined;
  /** Another whose code is as it was: if it moved against the reference, the machine is not as it was. */
  readonly control: string | undefined;
}

/** What can not be compared, and why. */
export interface Unpaired {
  readonly name: string;
  readonly reason: string;
}

/**
 * Pairs each contender of ours with its earlier self.
 *
 * @param packages those that are compared, whose earlier suites must all still be there; empty: of all packages;
 *   undefined: a single suite is compared.
 */
export function pair(
  suites: readonly FoundSuite[],
  earlier: Results,
  packages: readonly string[] | undefined,
): { pairings: Pairing[]; unpaired: Unpaired[] } {
  const pairings: Pairing[] = [];
  const unpaired: Unpaired[] = [];
  const old = new Map(
    earlier.suites.filter(({ measuredAt }) => measuredAt !== null).map((suite) => [keyOf(suite), suite]),
  );
  for (const found of suites) {
    const key = keyOf({ package: found.package, name: found.suite.name });
    for (const ours of oursOf(found)) {
      const name = `${key}: ${ours}`;
      const paired = pairOne(found, old.get(key), ours);
      if (typeof paired === 'string') unpaired.push({ name, reason: paired });
      else pairings.push({ name, found, ours, ...paired });
    }
    // What was ours before and is no more may have been renamed to hide what became of it.
    for (const { name, role } of old.get(key)?.contenders ?? []) {
      if (role === 'ours' && found.suite.contenders[name] === undefined)
        unpaired.push({ name: `${key}: ${name}`, reason: 'it is only in the earlier run' });
    }
    old.delete(key);
  }
  if (packages !== undefined) {
    for (const suite of old.values()) {
      if (packages.length > 0 && !packages.includes(suite.package)) continue;
      unpaired.push({ name: keyOf(suite), reason: 'the suite is only in the earlier run' });
    }
  }
  return { pairings, unpaired };
}

function oursOf({ suite }: FoundSuite): string[] {
  return Object.keys(suite.contenders).filter((name) => suite.contenders[name]?.role === 'ours');
}

function pairOne(
  { suite }: FoundSuite,
  earlier: SuiteResult | undefined,
  ours: string,
): Pick<Pairing, 'earlier' | 'reference' | 'control'> | string {
  if (earlier === undefined) return 'the suite is not in the earlier run';
  const before = earlier.contenders.find(({ name }) => name === ours);
  if (before === undefined) return 'it is not in the earlier run';
  if (before.status !== 'ok')
    return `it ${before.status === 'failed' ? 'failed' : 'was not run'} in the earlier run`;
  const { figure, better } = comparedFigure(suite);
  if (earlier.figure !== figure || earlier.better !== better) {
    return `the earlier run compared ${earlier.figure}, this one ${figure}`;
  }
  if (JSON.stringify(earlier.parameters) !== JSON.stringify(suite.parameters ?? null)) {
    return 'the parameters of the suite have changed';
  }
  if (suite.kind === 'fault') {
    const hasGoals = (suite.goals ?? []).some((goal) => isHeldAlone(goal, ours));
    return hasGoals
      ? { earlier, reference: undefined, control: undefined }
      : 'a fault suite is held against its goals, and it has none';
  }
  const others = Object.keys(suite.contenders).filter((name) => suite.contenders[name]?.role !== 'ours');
  const usable = earlier.contenders.filter(({ name, library, version, status, rounds }) => {
    const isSame = library === null || version === versionOf(library);
    return others.includes(name) && status === 'ok' && isSame && rounds.length >= before.rounds.length;
  });
  const [reference, control] = ['limit', 'baseline', 'peer'].flatMap((role) =>
    usable.filter((one) => one.role === role),
  );
  if (reference === undefined && others.length > 0) return 'nobody to measure it by is the same in both runs';
  return { earlier, reference: reference?.name, control: control?.name };
}

/** Whether a goal is of this one, and can be judged without another. */
function isHeldAlone({ contender, atMost, atLeast }: Goal, ours: string): boolean {
  return (contender ?? ours) === ours && typeof (atMost ?? atLeast) === 'number';
}
