// Commits entries one after the other until it is told to stop; tells its parent of each answer.
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuditLog } from '../../src/index.ts';

const log = await createAuditLog({
  directory: process.argv[2] as string,
  retryIntervalMs: 20,
  checkpointIntervalMs: 50,
});
let isStopping = false;
process.on('message', () => {
  isStopping = true;
});
while (!isStopping) {
  try {
    const index = await log.commit({
      who: 'writer',
      what: 'x'.repeat(2_000),
      decision: 'allow',
      fingerprint: 'f',
    });
    process.send?.({ committed: index + 1 });
  } catch (error) {
    const { code, cause } = error as { code: string; cause?: { code: string } };
    process.send?.({ code, cause: cause?.code });
    await sleep(10);
  }
}
await log.close();
process.send?.({ size: log.size });
process.disconnect();
