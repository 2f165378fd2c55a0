import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/fastify.ts', 'src/express.ts', 'src/undici.ts', 'src/cli.ts'],
  format: 'esm',
  target: 'node22',
  dts: true,
  clean: true,
});
