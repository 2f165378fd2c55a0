// Makes requests, says so and returns: the process has to end by itself. Arguments: base URL, `close` or `leave`.
import { createHttpClient } from '../../src/index.ts';

const [baseUrl = '', ending] = process.argv.slice(2);
const client = createHttpClient({ baseUrl });
await client.get('/');
await Promise.all([client.get('/'), client.get('/')]);
if (ending === 'close') await client.close();
process.send?.('done', () => process.disconnect());
