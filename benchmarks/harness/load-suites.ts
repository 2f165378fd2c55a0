import type { AnySuite } from './suite.ts';

/** Imports the suites that a file exports as default. */
export async function loadSuites(file: URL): Promise<readonly AnySuite[]> {
  const { default: exported } = (await import(file.href)) as { default?: AnySuite | readonly AnySuite[] };
  if (exported === undefined) throw new TypeError(`${file.pathname} has no default export`);
  return Array.isArray(exported) ? exported : [exported as AnySuite];
}
