import type { Cache } from './cache.ts';
import { createCache } from './create-cache.ts';
import type { CacheOptions } from './options.ts';

/** What the presets take: {@link CacheOptions} with the constitutional hash required, and namespace and `ttlMs` given. */
export interface PresetOptions extends Omit<CacheOptions, 'namespace' | 'constitutionalHash'> {
  /** The hash in force: 16 or 64 lower-case hex digits. Part of every key. */
  readonly constitutionalHash: string;
  /** Default: the preset's own. */
  readonly namespace?: string | undefined;
}

/**
 * A cache for the answers of hot endpoints: values live 300 s, under namespace `hot-endpoints` and the constitutional hash.
 *
 * Each option given replaces the preset's; a new hash starts with nothing.
 *
 * @throws TypeError when `constitutionalHash` is missing, or an option is of the wrong kind or unknown.
 * @throws RangeError when an option is out of its range.
 *
 * @example
 * const answers = hotEndpointCache({ constitutionalHash: 'cdd01ef066bc6cf2' });
 * await answers.getOrSet('GET /policies', async () => ['one', 'two']);
 * await answers.close();
 */
export function hotEndpointCache(options: PresetOptions): Cache {
  return preset('hot-endpoints', 300_000, options);
}

/**
 * A cache for results of database queries: values live 600 s, under namespace `database-queries` and the constitutional
 * hash. Otherwise as {@link hotEndpointCache}.
 *
 * @throws TypeError and RangeError as {@link hotEndpointCache}.
 *
 * @example
 * const queries = databaseQueryCache({ constitutionalHash: 'cdd01ef066bc6cf2', ttlMs: 60_000 });
 * await queries.getOrSet('policies by tenant 7', async () => [{ id: 42 }], { tags: ['tenant:7'] });
 * await queries.close();
 */
export function databaseQueryCache(options: PresetOptions): Cache {
  return preset('database-queries', 600_000, options);
}

/**
 * A cache for what the constitution itself implies: values live 1,800 s, under namespace `constitutional-data` and the
 * constitutional hash. Otherwise as {@link hotEndpointCache}.
 *
 * @throws TypeError and RangeError as {@link hotEndpointCache}.
 *
 * @example
 * const rules = constitutionalDataCache({ constitutionalHash: 'cdd01ef066bc6cf2' });
 * await rules.getOrSet('limits', async () => ({ requestsPerMinute: 600 }));
 * await rules.close();
 */
export function constitutionalDataCache(options: PresetOptions): Cache {
  return preset('constitutional-data', 1_800_000, options);
}

function preset(namespace: string, ttlMs: number, options: PresetOptions): Cache {
  const given: Partial<PresetOptions> | undefined = options;
  if (given?.constitutionalHash === undefined) {
    throw new TypeError(`the preset '${namespace}' needs option 'constitutionalHash'`);
  }
  const { namespace: ownNamespace = namespace, ttlMs: ownTtlMs = ttlMs } = options;
  return createCache({ ...options, namespace: ownNamespace, ttlMs: ownTtlMs });
}
