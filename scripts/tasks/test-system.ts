import { build } from '../build.ts';
import { ensureOtherRedis } from '../system-redis.ts';
import { ensureSystemServers } from '../system-servers.ts';
import { ensureValkey } from '../system-valkey.ts';
import { runTests } from '../tests.ts';

const missing = [...ensureSystemServers(), ...(ensureValkey() ? [] : ['Valkey']), ...ensureOtherRedis()];
if (missing.length > 0) {
  console.error(`hotpath: install ${missing.join(', ')} to run the system tests`);
  process.exit(1);
}
await build();
process.exitCode = await runTests('test-system', [
  '--config',
  'vitest.system.config.ts',
  ...process.argv.slice(2),
]);
