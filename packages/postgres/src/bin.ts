#!/usr/bin/env node
import { runCli } from './cli.ts';

// Set rather than exited with, so that output that goes to a pipe is written to its end.
void runCli(process.argv.slice(2), process.env, process).then((code) => {
  process.exitCode = code;
});
