import { type PostgresServer, startPostgres } from '@hotpath/testkit';
import { createPostgres, type Postgres, type PostgresOptions } from '../../src/index.ts';

/** A server, and clients of it that end with it. */
export interface TestDatabase extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly db: Postgres;
  connect(options?: PostgresOptions): Postgres;
}

export async function startDatabase(
  settings: Record<string, string | number | boolean> = {},
): Promise<TestDatabase> {
  const server = await startPostgres({ settings: { max_connections: 200, ...settings } });
  const clients: Postgres[] = [];
  const connect = (options: PostgresOptions = {}): Postgres => {
    const client = createPostgres({ connectionString: server.connectionString, ...options });
    clients.push(client);
    return client;
  };
  return {
    server,
    db: connect(),
    connect,
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close({ timeoutMs: 500 })));
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The code of what a promise rejects with; fails when it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as { code: string }).code;
  }
  throw new Error('it did not reject');
}
