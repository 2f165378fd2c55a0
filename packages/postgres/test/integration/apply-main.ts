// Applies the declared indexes, and says when it begins to.
import { createPostgres, governanceIndexes } from '../../src/index.ts';

const [connectionString, hash] = process.argv.slice(2) as [string, string];
const db = createPostgres({ connectionString });
process.send?.('begin');
await db.indexes.apply(governanceIndexes(hash));
await db.close();
process.disconnect?.();
