import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/redis.ts', 'src/opossum.ts', 'src/bottleneck.ts'],
  format: 'esm',
  target: 'node22',
  dts: true,
  clean: true,
});
