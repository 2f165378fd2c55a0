import { build } from '../build.ts';
import { rehearse } from '../release/rehearse.ts';
import { stepsDone } from '../release/step.ts';
import { writeReport } from '../tests.ts';

await build();
try {
  await rehearse();
} catch (error) {
  writeReport('release-rehearse', { passed: stepsDone(), failed: 1 });
  console.error(`\nhotpath: the rehearsal failed at: ${(error as Error).message}`);
  process.exit(1);
}
writeReport('release-rehearse', { passed: stepsDone(), failed: 0 });
console.error('\nhotpath: the release is ready to be made');
process.exit(0);
