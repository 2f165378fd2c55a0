import type { AbortedError, HotpathError } from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import type { Policy, PolicyError, PolicyValue, Step } from './policy.ts';

/** Counters of a pipeline since it was made, and those of its policies, outermost first. */
export interface PipelineStats {
  readonly kind: 'pipeline';
  readonly name: string;
  readonly policies: readonly object[];
}

/** How a pipeline of these policies may end a call. */
export type PipelineError<Policies extends readonly Policy<HotpathError, unknown>[]> =
  | PolicyError<Policies[number]>
  | AbortedError<'HOTPATH_CLOSED'>;

/** Several policies as one. */
export interface Pipeline<Failure extends HotpathError, Extra = never> extends Policy<Failure, Extra> {
  readonly kind: 'pipeline';
  stats(): PipelineStats;
}

class CompiledPipeline<Failure extends HotpathError, Extra>
  extends BasePolicy<Failure, Extra>
  implements Pipeline<Failure, Extra>
{
  readonly kind = 'pipeline';
  readonly #policies: readonly Policy<HotpathError, unknown>[];
  #closed = false;

  constructor(policies: readonly Policy<HotpathError, unknown>[]) {
    super('pipeline');
    this.#policies = policies;
  }

  _compile(next: Step): Step {
    const inner = this.#policies.reduceRight((step, policy) => policy._compile(step), next);
    return (work, scope) =>
      this.#closed ? Promise.reject(scope.refuse(closedError('pipeline', this.name))) : inner(work, scope);
  }

  stats(): PipelineStats {
    return { kind: 'pipeline', name: this.name, policies: this.#policies.map((policy) => policy.stats()) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#policies.map((policy) => policy.close()));
  }
}

/**
 * Puts policies around each other, the first one outermost, and compiles them once into one function.
 *
 * Recommended order: load shed, rate limiter, total timeout, fallback, retry or hedge, circuit breaker,
 * bulkhead or adaptive limit, timeout of one try. A pipeline is a policy, so it can be part of another.
 * It owns its policies: `close()` closes them.
 *
 * @example
 * const policy = pipeline(retry({ attempts: 3 }), circuitBreaker(), timeout(250));
 * const user = await policy.execute(({ signal }) => fetchUser(id, { signal }), { signal });
 *
 * @throws The union of its policies' errors, from `execute`.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError when something given is not a policy.
 */
export function pipeline<const Policies extends readonly Policy<HotpathError, unknown>[]>(
  ...policies: Policies
): Pipeline<PipelineError<Policies>, PolicyValue<Policies[number]>> {
  for (const [index, policy] of policies.entries()) {
    if (typeof (policy as Partial<Policy> | null)?._compile !== 'function') {
      throw new TypeError(`pipeline: argument ${index + 1} must be a policy of @hotpath/resilience`);
    }
  }
  return new CompiledPipeline(policies);
}
