import { Redis } from 'ioredis';
import { createApp } from './app.ts';

const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
const app = await createApp(redis, async (id) => ({ id, name: `product ${id}` }));
app.addHook('onClose', () => redis.disconnect());
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void app.close());
console.log(`listening on ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`);
