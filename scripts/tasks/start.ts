import { build } from '../build.ts';
import { onParentGone } from '../parent.ts';

await build();
// In this process: one more between npm and the service could be killed, and the service would stay.
onParentGone(() => process.kill(process.pid, 'SIGTERM'));
await import('../../examples/governed-service/src/main.ts');
