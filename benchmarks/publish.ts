// Writes the performance section of the root README from the latest results.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchmarksFolder } from './harness/discover.ts';
import { renderSection, replaceSection } from './harness/publish-section.ts';
import { readResults } from './harness/results.ts';

const readme = join(benchmarksFolder, '..', 'README.md');
try {
  const section = renderSection(readResults(join(benchmarksFolder, 'results', 'latest.json')));
  writeFileSync(readme, replaceSection(readFileSync(readme, 'utf8'), section));
} catch (error) {
  console.error(`bench:publish: ${(error as Error).message}`);
  process.exitCode = 1;
}
