#!/usr/bin/env node
import { run } from './cli/run.ts';

let isLost = false;

process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  // A reader such as `head` may have had enough.
  if (code === 'EPIPE') return;
  isLost = true;
  process.exitCode = 3;
  process.stderr.write(`the answer can't be written (${code})\n`);
});
// The exit code tells as much where nobody reads what went wrong.
process.stderr.on('error', () => {});

run(process.argv.slice(2), {
  out: (text) => process.stdout.write(`${text}\n`),
  error: (text) => process.stderr.write(`${text}\n`),
}).then((exitCode) => {
  process.exitCode = isLost ? 3 : exitCode;
});
