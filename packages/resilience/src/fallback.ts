import { type AbortedError, isHotpathError, optionReader } from '@hotpath/core';
import { fallbackEvents } from './events.ts';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import type { Policy, PolicyContext, Step } from './policy.ts';

/** How a fallback may end a call, besides with what the fallback itself throws. */
export type FallbackError = AbortedError<'HOTPATH_CLOSED'>;

/** What {@link fallback} takes besides the fallback itself. */
export interface FallbackOptions {
  /** Which errors it stands in for. Default: all but governance errors. One that throws counts as no. */
  readonly handleIf?: ((error: unknown) => boolean) | undefined;
  /** Its name in events and statistics. Default `fallback`. */
  readonly name?: string | undefined;
}

/** Counters of a fallback since it was made. */
export interface FallbackStats {
  readonly kind: 'fallback';
  readonly name: string;
  readonly usedTotal: number;
  readonly failedTotal: number;
}

/** Gives something else where the work fails. */
export interface FallbackPolicy<Extra> extends Policy<FallbackError, Extra> {
  readonly kind: 'fallback';
  stats(): FallbackStats;
}

class GivenFallback<Extra> extends BasePolicy<FallbackError, Extra> implements FallbackPolicy<Extra> {
  readonly kind = 'fallback';
  readonly #instead: (error: unknown, context: PolicyContext) => PromiseLike<Extra> | Extra;
  readonly #handleIf: (error: unknown) => boolean;
  #closed = false;
  #usedTotal = 0;
  #failedTotal = 0;

  constructor(
    name: string,
    instead: (error: unknown, context: PolicyContext) => PromiseLike<Extra> | Extra,
    handleIf: (error: unknown) => boolean,
  ) {
    super(name);
    this.#instead = instead;
    this.#handleIf = handleIf;
  }

  _compile(next: Step): Step {
    return (work, scope) => {
      if (this.#closed) return Promise.reject(scope.refuse(closedError('fallback', this.name)));
      return next(work, scope).then(undefined, async (error) => {
        // Who has left needs no stand-in.
        if (scope.aborted || !this.#handles(error)) throw error;
        this.#usedTotal++;
        if (fallbackEvents.hasSubscribers) fallbackEvents.publish({ name: this.name, error });
        try {
          return await this.#instead(error, scope);
        } catch (fallbackError) {
          this.#failedTotal++;
          throw fallbackError;
        }
      });
    };
  }

  #handles(error: unknown): boolean {
    try {
      return this.#handleIf(error);
    } catch {
      return false;
    }
  }

  stats(): FallbackStats {
    return { kind: 'fallback', name: this.name, usedTotal: this.#usedTotal, failedTotal: this.#failedTotal };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

function isNotGovernance(error: unknown): boolean {
  return !(isHotpathError(error) && error.family === 'governance');
}

/**
 * Makes a fallback: where the work fails, `instead` gives the value; what `instead` throws is thrown.
 *
 * @example
 * const policy = pipeline(fallback(() => [] as string[]), circuitBreaker(), timeout(250));
 * const names = await policy.execute(() => fetchNames()); // string[], also when the circuit is open
 *
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError when an argument or option is wrong.
 */
export function fallback<Extra>(
  instead: (error: unknown, context: PolicyContext) => PromiseLike<Extra> | Extra,
  options: FallbackOptions = {},
): FallbackPolicy<Extra> {
  if (typeof instead !== 'function') throw new TypeError('fallback: the first argument must be a function');
  const read = optionReader('fallback', options);
  const handleIf = read.function('handleIf', isNotGovernance);
  const name = read.string('name', 'fallback');
  read.end();
  return new GivenFallback(name, instead, handleIf);
}
