// Writes the performance section of the root README from the latest results; with --check only tells whether it is so.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchmarksFolder } from './harness/discover.ts';
import { renderSection, replaceSection } from './harness/publish-section.ts';
import { readResults } from './harness/results.ts';

try {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean', default: false },
      readme: { type: 'string', default: join(benchmarksFolder, '..', 'README.md') },
      results: { type: 'string', default: join(benchmarksFolder, 'results', 'latest.json') },
    },
  });
  const text = readFileSync(values.readme, 'utf8');
  const published = replaceSection(text, renderSection(readResults(values.results)));
  if (!values.check) writeFileSync(values.readme, published);
  else if (published !== text) {
    throw new Error(`${values.readme} differs from what ${values.results} gives; run pnpm bench:publish`);
  }
} catch (error) {
  console.error(`bench:publish: ${(error as Error).message}`);
  process.exitCode = 1;
}
