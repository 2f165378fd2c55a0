import { createConstitution } from '@hotpath/constitution';
import { createHttpClient } from '@hotpath/http';
import { createApp } from './app.ts';

const constitution = createConstitution({ active: process.env.CONSTITUTIONAL_HASH ?? 'cdd01ef066bc6cf2' });
const suppliers = createHttpClient({
  baseUrl: process.env.SUPPLIERS_URL ?? 'http://127.0.0.1:4000',
  timeoutMs: 2_000,
  governance: { hash: constitution.active },
});
const server = createApp(constitution, suppliers).listen(Number(process.env.PORT ?? 3000));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(() => void suppliers.close());
  });
}
