import { defineConfig } from 'vitest/config';

/** Tests against servers that come from the system's packages, not from npm. */
export default defineConfig({
  // Node 22 does not know `using` yet.
  oxc: { target: 'es2023' },
  test: {
    name: 'system',
    pool: 'forks',
    include: ['{packages/*,examples/*}/test/system/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
