import type { Cache } from './cache.ts';
import { createCache } from './create-cache.ts';
import type { CacheOptions } from './options.ts';

/** What the presets take: {@link CacheOptions} with the constitutional hash required and the namespace given. */
export interface PresetOptions extends Omit<CacheOptions, 'namespace' | 'constitutionalHash'> {
  /** The hash in force: 16 or 64 lower-case hex digits. Part of every key. */
  readonly constitutionalHash: string;
  /** Default: the preset's own. */
  readonly namespace?: string | undefined;
}

/** For the answers of hot endpoints: values live 300 s, bound to the constitutional hash. */
export function hotEndpointCache(options: PresetOptions): Cache {
  return preset('hot-endpoints', 300_000, options);
}

/** For results of database queries: values live 600 s, bound to the constitutional hash. */
export function databaseQueryCache(options: PresetOptions): Cache {
  return preset('database-queries', 600_000, options);
}

/** For what the constitution itself implies: values live 1,800 s, bound to the constitutional hash. */
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
