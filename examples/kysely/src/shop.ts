import type { Postgres } from '@hotpath/postgres';
import { type Generated, type Kysely, sql } from 'kysely';

export interface Shop {
  orders: { id: Generated<number>; customer: string; placed_at: Generated<Date> };
  items: { order_id: number; product: string; quantity: number };
}

export type ShopDatabase = Postgres<Shop>;

/** Makes the tables, and the index that the pages below need, without locking writers out. */
export async function prepare({ kysely, indexes }: ShopDatabase): Promise<void> {
  await kysely.schema
    .createTable('orders')
    .ifNotExists()
    .addColumn('id', 'bigserial', (column) => column.primaryKey())
    .addColumn('customer', 'text', (column) => column.notNull())
    .addColumn('placed_at', 'timestamptz', (column) => column.notNull().defaultTo(sql`now()`))
    .execute();
  await kysely.schema
    .createTable('items')
    .ifNotExists()
    .addColumn('order_id', 'bigint', (column) => column.notNull().references('orders.id').onDelete('cascade'))
    .addColumn('product', 'text', (column) => column.notNull())
    .addColumn('quantity', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('items_pkey', ['order_id', 'product'])
    .execute();
  await indexes.apply([{ name: 'orders_by_customer', table: 'orders', keys: ['customer', 'id'] }]);
}

/** An ordinary Kysely query: it goes through the pool, prepared and with its deadlines. */
export async function customersWithMost(kysely: Kysely<Shop>, limit: number) {
  return kysely
    .selectFrom('orders')
    .innerJoin('items', 'items.order_id', 'orders.id')
    .select(({ fn }) => ['orders.customer', fn.sum<string>('items.quantity').as('quantity')])
    .groupBy('orders.customer')
    .orderBy('quantity', 'desc')
    .limit(limit)
    .execute();
}

/** An order and its items, or nothing of either. */
export function placeOrder(
  database: ShopDatabase,
  customer: string,
  products: readonly string[],
): Promise<number> {
  return database.transaction(async ({ kysely }) => {
    const { id } = await kysely
      .insertInto('orders')
      .values({ customer })
      .returning('id')
      .executeTakeFirstOrThrow();
    const items = products.map((product) => ({ order_id: id, product, quantity: 1 }));
    await kysely.insertInto('items').values(items).execute();
    return id;
  });
}

/** A page of a customer's orders, each with its items: two queries, however many orders there are. */
export async function ordersOf(database: ShopDatabase, customer: string, after?: string) {
  const page = await database.paginate('orders', {
    where: { customer },
    orderBy: ['id'],
    pageSize: 20,
    after,
  });
  const orders = await database.selectIn(page.rows, { table: 'items', as: 'items', foreignKey: 'order_id' });
  return { orders, next: page.next };
}

/** Takes what a supplier sends: inserts what is new and updates what changed, thousands of rows at a time. */
export function importItems(database: ShopDatabase, items: readonly Shop['items'][]) {
  return database.upsertMany('items', items, { key: ['order_id', 'product'] });
}
