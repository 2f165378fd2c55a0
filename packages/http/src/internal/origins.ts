import { HttpRejectedError } from '../errors.ts';
import type { ResolvedHttpClientOptions } from '../options.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { Origin } from './origin.ts';

/** The origins that a client knows: a bounded number, of which the oldest that is not in use is forgotten first. */
export class Origins {
  readonly #options: ResolvedHttpClientOptions;
  readonly #pool: ConnectionPool;
  readonly #byKey = new Map<string, Origin>();
  /** The same by what callers write before the path, so that a URL need not be parsed twice. */
  readonly #byPrefix = new Map<string, Origin>();

  constructor(options: ResolvedHttpClientOptions, pool: ConnectionPool) {
    this.#options = options;
    this.#pool = pool;
  }

  /** @throws HttpRejectedError (HOTPATH_HTTP_ORIGINS_FULL) when none can be forgotten for a new one. */
  of(url: URL, method: string): Origin {
    const key = url.origin;
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    if (this.#byKey.size >= this.#options.maxOrigins) this.#forgetOne(key, method);
    const origin = new Origin(this.#pool.addOrigin(new URL(key)), this.#options);
    this.#byKey.set(key, origin);
    return origin;
  }

  /** The origin of URLs that begin like this, if one was seen before. */
  ofPrefix(prefix: string): Origin | undefined {
    return this.#byPrefix.get(prefix);
  }

  /** Remembers how URLs of this origin may begin. */
  rememberPrefix(prefix: string, origin: Origin): void {
    if (this.#byPrefix.size < 2 * this.#options.maxOrigins) this.#byPrefix.set(prefix, origin);
  }

  values(): IterableIterator<Origin> {
    return this.#byKey.values();
  }

  #forgetOne(newcomer: string, method: string): void {
    for (const [key, origin] of this.#byKey) {
      // Base URLs and whatever is in use stay.
      const isBase = this.#options.baseUrls.some((base) => base.origin === key);
      if (isBase || origin.active > 0 || origin.pool.isInUse) continue;
      this.#byKey.delete(key);
      for (const [prefix, known] of this.#byPrefix) if (known === origin) this.#byPrefix.delete(prefix);
      this.#pool.removeOrigin(origin.pool);
      origin.close();
      return;
    }
    const message = `${this.#options.maxOrigins} origins are in use, the most that are allowed`;
    const details = { method, url: newcomer, attempt: 0, phase: 'queue' as const };
    throw new HttpRejectedError('HOTPATH_HTTP_ORIGINS_FULL', message, details);
  }
}
