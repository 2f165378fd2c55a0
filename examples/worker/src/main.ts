import { Redis } from 'ioredis';
import { createMailWorker } from './worker.ts';

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
// A connection that waits in the queue must not give up a command.
const connection = new Redis(url, { maxRetriesPerRequest: null });
const redis = new Redis(url);
const worker = createMailWorker({
  connection,
  redis,
  mailsPerSecond: 20,
  workers: Number(process.env.WORKERS ?? 1),
  send: async (mail) => console.log(`sent to ${mail.to}`),
});
worker.on('failed', (job, error) => console.error(`job ${job?.id}: ${error.message}`));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await worker.close();
    connection.disconnect();
    redis.disconnect();
  });
}
