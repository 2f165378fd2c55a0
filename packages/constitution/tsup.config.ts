import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    audit: 'src/audit/index.ts',
    fastify: 'src/fastify.ts',
    express: 'src/express.ts',
    undici: 'src/undici.ts',
    cli: 'src/cli.ts',
  },
  format: 'esm',
  target: 'node22',
  dts: true,
  clean: true,
});
