import { createPostgres } from '@hotpath/postgres';
import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  customersWithMost,
  importItems,
  ordersOf,
  placeOrder,
  prepare,
  type Shop,
  type ShopDatabase,
} from '../../src/shop.ts';

let server: PostgresServer;
let database: ShopDatabase;

beforeAll(async () => {
  server = await startPostgres();
  database = createPostgres<Shop>({ connectionString: server.connectionString });
  await prepare(database);
});

afterAll(async () => {
  await database?.close();
  await server?.[Symbol.asyncDispose]();
});

test('preparing twice changes nothing', async () => {
  await prepare(database);
  const plan = await database.indexes.plan([
    { name: 'orders_by_customer', table: 'orders', keys: ['customer', 'id'] },
  ]);
  expect(plan.items.map(({ action }) => action)).toEqual(['none']);
});

test('orders come page by page, each with its items', async () => {
  for (let order = 0; order < 25; order++) await placeOrder(database, 'Ada', ['tea', `thing ${order}`]);
  const first = await ordersOf(database, 'Ada');
  const second = await ordersOf(database, 'Ada', first.next);
  expect(first.orders).toHaveLength(20);
  expect(second.orders).toHaveLength(5);
  expect(second.next).toBeUndefined();
  expect(first.orders[3]?.items.map(({ product }) => product).sort()).toEqual(['tea', 'thing 3']);
});

test('an order whose items can not be written leaves nothing behind', async () => {
  await expect(placeOrder(database, 'Bob', ['tea', 'tea'])).rejects.toThrow();
  expect((await ordersOf(database, 'Bob')).orders).toEqual([]);
});

test('an import inserts what is new, updates what changed and leaves the rest', async () => {
  const order = await placeOrder(database, 'Eve', ['tea', 'milk']);
  const items = [
    { order_id: order, product: 'tea', quantity: 1 },
    { order_id: order, product: 'milk', quantity: 7 },
    ...Array.from({ length: 5_000 }, (_, index) => ({ order_id: order, product: `p${index}`, quantity: 1 })),
  ];
  expect(await importItems(database, items)).toEqual({ inserted: 5_000, updated: 1, unchanged: 1 });
  expect(await customersWithMost(database.kysely, 1)).toEqual([{ customer: 'Eve', quantity: '5008' }]);
});
