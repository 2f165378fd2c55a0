// Prints what a push to the main branch calls for: `version` while there are changesets to make versions of,
// else `publish` (which does nothing when the registry has every version already).
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(fileURLToPath(import.meta.url), '..', '..', '..', '.changeset');
const pending = globSync('*.md', { cwd: folder }).filter((name) => name !== 'README.md');
console.log(pending.length > 0 ? 'version' : 'publish');
