import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadSuites } from './load-suites.ts';
import type { AnySuite } from './suite.ts';

/** A suite and where it is. */
export interface FoundSuite {
  readonly package: string;
  readonly file: string;
  readonly suite: AnySuite;
}

/** A file of suites that can not be loaded. */
export interface BrokenFile {
  readonly package: string;
  readonly file: string;
  readonly error: string;
}

export const benchmarksFolder: string = fileURLToPath(new URL('..', import.meta.url));

/**
 * Finds all suites, and of them those of the named packages (of all, when none is named) and of the given name if
 * there is one.
 *
 * @throws RangeError when a package or suite is asked for that is not there.
 */
export async function discover(
  packages: readonly string[],
  suiteName: string | undefined,
): Promise<{ all: FoundSuite[]; suites: FoundSuite[]; broken: BrokenFile[] }> {
  const files = globSync('*/*.bench.ts', { cwd: benchmarksFolder }).sort();
  const known = [...new Set(files.map(packageOf))];
  for (const name of packages) {
    if (!known.includes(name)) throw new RangeError(`no suites for ${name}; there are ${known.join(', ')}`);
  }
  const all: FoundSuite[] = [];
  const broken: BrokenFile[] = [];
  for (const path of files) {
    const owner = packageOf(path);
    const file = join(benchmarksFolder, path);
    try {
      for (const suite of await loadSuites(pathToFileURL(file))) {
        if (all.some((other) => other.package === owner && other.suite.name === suite.name)) {
          throw new TypeError(`there are two suites of the name ${suite.name}`);
        }
        all.push({ package: owner, file, suite });
      }
    } catch (error) {
      broken.push({ package: owner, file: path, error: (error as Error).stack ?? String(error) });
    }
  }
  const isWanted = ({ package: owner }: { readonly package: string }): boolean =>
    packages.length === 0 || packages.includes(owner);
  const suites = all.filter(
    (found) => isWanted(found) && (suiteName === undefined || found.suite.name === suiteName),
  );
  if (suites.length === 0 && !broken.some(isWanted))
    throw new RangeError(`no suite of the name ${suiteName}`);
  return { all, suites, broken };
}

function packageOf(path: string): string {
  return path.split(/[\\/]/)[0] as string;
}
