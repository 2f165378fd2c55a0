import { isHotpathError } from '@hotpath/core';
import { type Config, readConfig } from './config.ts';
import { type Servers, startServers } from './embedded.ts';
import { OpenedResources } from './opened.ts';
import { reportRedis } from './redis-reports.ts';
import { type Service, startService } from './service.ts';

/** After this the process ends, whatever still hangs. */
const SHUTDOWN_TIMEOUT_MS = 10_000;

async function main(): Promise<void> {
  const config = readConfig();
  const stopped = stopRequest();
  const opened = new OpenedResources();
  try {
    const servers = opened.use(await startServers(config));
    const service = opened.use(await startService(config, servers));
    announce(config, servers, service);
    if (config.redisUrl !== undefined) opened.use(reportRedis(config.redisUrl));
    const prepared = service.ready.then(() => {
      console.log('Ready. Try:');
      const header = `X-Constitutional-Hash: ${config.constitutionalHash}`;
      console.log(`  curl -H '${header}' ${service.url}/v1/policies/42`);
      return stopped;
    });
    await Promise.race([stopped, prepared]);
    console.log('Stopping …');
    setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT_MS).unref();
  } finally {
    await opened.close();
  }
}

function announce(config: Config, servers: Servers, service: Service): void {
  console.log(`The governed service listens on ${service.url}`);
  console.log(`  PostgreSQL  ${config.databaseUrl === undefined ? 'embedded' : 'from DATABASE_URL'}`);
  console.log(`  Redis       ${redisSource(config.redisUrl, servers.redisUrl)}`);
  console.log(`  audit log   ${config.auditDirectory}`);
  console.log(`  health      ${service.url}/health`);
  console.log(`  statistics  ${service.url}/stats`);
}

/** One Ctrl-C may arrive twice: from the terminal, and forwarded by whoever started this process. */
const SAME_SIGNAL_MS = 500;

/** Resolves at the first signal to stop; a later one ends the process at once. */
function stopRequest(): Promise<void> {
  return new Promise((resolve) => {
    let askedMs: number | undefined;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        askedMs ??= performance.now();
        if (performance.now() - askedMs > SAME_SIGNAL_MS) process.exit(1);
        resolve();
      });
    }
  });
}

function redisSource(configured: string | undefined, used: string | undefined): string {
  if (configured !== undefined) return 'from REDIS_URL';
  return used === undefined ? 'none: memory only' : 'embedded';
}

/** Why the audit log can't be opened; each message names its folder. */
const AUDIT_PROBLEMS: readonly string[] = [
  'HOTPATH_AUDIT_UNAVAILABLE',
  'HOTPATH_AUDIT_CORRUPT',
  'HOTPATH_AUDIT_CHECKPOINT',
];

/** What an operator needs to know of a start that failed: one line, or all that is known of a mistake in the code. */
function explain(error: unknown): unknown {
  if (error instanceof RangeError) return error.message;
  if (isHotpathError(error, 'HOTPATH_AUDIT_LOCKED')) {
    return `Another service runs with this audit log: ${error.message}. Set PORT, or AUDIT_DIRECTORY, to another one.`;
  }
  if (isHotpathError(error) && AUDIT_PROBLEMS.includes(error.code)) {
    return `${error.message}. Set AUDIT_DIRECTORY to another folder, or mend this one.`;
  }
  if ((error as { code?: unknown }).code === 'EADDRINUSE') {
    return `Port ${(error as { port?: number }).port} is in use; set PORT to another one (0 takes one that is free).`;
  }
  // What the system says of HOST needs no stack.
  return (error as { syscall?: unknown }).syscall === undefined ? error : (error as Error).message;
}

main().catch((error) => {
  console.error(explain(error));
  process.exitCode = 1;
});
