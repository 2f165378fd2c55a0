// Writes entries for as long as it lives; tells its parent how many were flushed.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createAuditLog } from '../../src/index.ts';

const log = await createAuditLog({
  directory: process.argv[2] as string,
  segmentEntries: 256,
  checkpointIntervalMs: 20,
  fsync: process.argv[3] === 'never' ? 'never' : 'flush',
});
process.send?.({ opened: log.size, repairedBytes: log.stats().repairedBytes });
for (;;) {
  for (let count = 0; count < 97; count++) {
    log.append({
      who: 'writer',
      what: `entry ${log.size}`,
      decision: 'allow',
      fingerprint: 'f',
      details: '€'.repeat(count),
    });
  }
  await log.flush();
  process.send?.({ flushed: log.size });
  await nextTurn();
}
