import { defineConfig } from 'vitest/config';

const roots = '{packages/*,examples/*,benchmarks,testkit,scripts}';

export default defineConfig({
  // Node 22 does not know `using` yet.
  oxc: { target: 'es2023' },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [`${roots}/test/unit/**/*.test.ts`, 'packages/*/test/types/**/*.test.ts'],
        },
      },
      {
        // Real servers that are killed and frozen: one file at a time, so that no file starves another.
        extends: true,
        test: {
          name: 'integration',
          include: [`${roots}/test/integration/**/*.test.ts`],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
