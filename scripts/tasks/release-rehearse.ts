import { build } from '../build.ts';
import { rehearse } from '../release/rehearse.ts';

await build();
try {
  await rehearse();
} catch (error) {
  console.error(`\nhotpath: the rehearsal failed at: ${(error as Error).message}`);
  process.exit(1);
}
console.error('\nhotpath: the release is ready to be made');
process.exit(0);
