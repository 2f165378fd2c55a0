// Writes what READMEs say of performance from the latest results: the section of the root's, and that of each package
// whose README has the two marks. With --check only tells whether it is so.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarksFolder } from './harness/discover.ts';
import { BEGIN, renderPackageSection, renderSection, replaceSection } from './harness/publish-section.ts';
import { readResults } from './harness/results.ts';

try {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean', default: false },
      root: { type: 'string', default: join(benchmarksFolder, '..') },
      results: { type: 'string', default: join(benchmarksFolder, 'results', 'latest.json') },
    },
  });
  const results = readResults(values.results);
  const differing: string[] = [];
  const publish = (readme: string, section: string): void => {
    const text = readFileSync(readme, 'utf8');
    const published = replaceSection(text, section);
    if (published === text) return;
    if (values.check) differing.push(readme);
    else writeFileSync(readme, published);
  };
  publish(join(values.root, 'README.md'), renderSection(results));
  for (const path of globSync('packages/*/README.md', { cwd: values.root }).sort()) {
    const readme = join(values.root, path);
    if (!readFileSync(readme, 'utf8').includes(BEGIN)) continue;
    publish(readme, renderPackageSection(results, basename(dirname(path))));
  }
  if (differing.length > 0) {
    throw new Error(
      `these differ from what ${values.results} gives: ${differing.join(', ')}; run pnpm bench:publish`,
    );
  }
} catch (error) {
  console.error(`bench:publish: ${(error as Error).message}`);
  process.exitCode = 1;
}
