// Refuses a dependency, at any depth, whose licence is not on the list.
import { packages } from '../steps.ts';
import { dependenciesOf } from './dependencies.ts';

const ALLOWED = new Set([
  'MIT',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
]);

function isAllowed(licence: string): boolean {
  return licence
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => ALLOWED.has(choice.trim()));
}

const problems = new Set<string>();
for (const name of packages) {
  for (const { name: dependency, version, licence } of dependenciesOf(name, { peers: true })) {
    if (!isAllowed(licence))
      problems.add(`${dependency}@${version}, a dependency of @hotpath/${name}, is under ${licence}`);
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.size > 0 ? 1 : 0;
