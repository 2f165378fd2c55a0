import { readConfig } from './config.ts';
import { startServers } from './embedded.ts';
import { startService } from './service.ts';

/** How long a second Ctrl-C is not needed: after this the process ends, whatever still hangs. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

async function main(): Promise<void> {
  const config = readConfig();
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(1);
      stopping.abort();
    });
  }

  await using servers = await startServers(config);
  await using service = await startService(config, servers, stopping.signal);
  console.log(`The governed service listens on ${service.url}`);
  console.log(`  PostgreSQL: ${config.databaseUrl === undefined ? 'embedded' : 'from DATABASE_URL'}`);
  console.log(`  Redis:      ${redisSource(config.redisUrl, servers.redisUrl)}`);
  console.log(`Health: ${service.url}/health   Statistics: ${service.url}/stats`);
  console.log('Try:');
  console.log(
    `  curl -H 'X-Constitutional-Hash: ${config.constitutionalHash}' ${service.url}/v1/policies/42`,
  );

  if (!stopping.signal.aborted) {
    await new Promise<void>((resolve) =>
      stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
    );
  }
  console.log('Stopping …');
  setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS).unref();
}

function redisSource(configured: string | undefined, used: string | undefined): string {
  if (configured !== undefined) return 'from REDIS_URL';
  return used === undefined ? 'none: memory only' : 'embedded';
}

main().catch((error) => {
  console.error(error instanceof RangeError ? error.message : error);
  process.exitCode = 1;
});
