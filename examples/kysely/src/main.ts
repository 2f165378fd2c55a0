import { createPostgres } from '@hotpath/postgres';
import { customersWithMost, importItems, ordersOf, placeOrder, prepare, type Shop } from './shop.ts';

const database = createPostgres<Shop>({
  connectionString: process.env.DATABASE_URL ?? 'postgres://127.0.0.1/postgres',
});
await prepare(database);
const order = await placeOrder(database, 'Ada', ['tea', 'milk']);
console.log(await importItems(database, [{ order_id: order, product: 'tea', quantity: 5 }]));
console.log(await ordersOf(database, 'Ada'));
console.log(await customersWithMost(database.kysely, 10));
await database.close();
