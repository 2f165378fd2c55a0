import { AbortedError, type Milliseconds, sleep } from '@hotpath/core';
import type { ResolvedRedisRateLimiterOptions } from '../redis-rate-limiter-options.ts';
import { ConcurrencyGate } from './concurrency-gate.ts';
import type { DistributedAdmission } from './lease-take.ts';
import { limited, queueFull, wrongArgument } from './limiter-errors.ts';
import { ChildScope, type Scope } from './scope.ts';
import { checkedPriority } from './waiting-room.ts';

type TryAcquire = (
  cost: number | undefined,
  key: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<DistributedAdmission>;

/** No wait between two tries is shorter, so that a waiter can't spin. */
const LEAST_WAIT_MS = 1;

/**
 * Who waits for units of a key on this node: one at a time asks, the others stand behind it in the order
 * of priority and arrival.
 */
export class LeaseTurns {
  readonly #options: ResolvedRedisRateLimiterOptions;
  readonly #tryAcquire: TryAcquire;
  readonly #gates = new Map<string, ConcurrencyGate>();
  readonly #scopes = new Set<ChildScope>();

  constructor(options: ResolvedRedisRateLimiterOptions, tryAcquire: TryAcquire) {
    this.#options = options;
    this.#tryAcquire = tryAcquire;
  }

  get waiting(): number {
    return this.#scopes.size;
  }

  async acquire(
    key: string | undefined,
    cost: number | undefined,
    givenPriority: number | undefined,
    patienceMs: Milliseconds,
    parent: Scope,
  ): Promise<DistributedAdmission> {
    const { clock, maxWaiting, name } = this.#options;
    if (!(patienceMs >= 0)) {
      throw wrongArgument('redisRateLimiter', 'deadlineMs', 'a number of at least 0', patienceMs);
    }
    const priority = checkedPriority('redisRateLimiter', givenPriority);
    if (!this.#gates.has(key ?? '')) {
      const admission = await this.#tryAcquire(cost, key, parent.abortable ? parent.signal : undefined);
      if (admission.allowed) return admission;
      if (admission.retryAfterMs > patienceMs || patienceMs === 0)
        throw limited(name, admission.retryAfterMs);
    }
    if (this.#scopes.size >= maxWaiting) throw queueFull(name, maxWaiting, undefined);
    const scope = new ChildScope(parent, clock.now() + patienceMs, parent.attempt);
    this.#scopes.add(scope);
    scope.follow();
    try {
      return await this.#takeTurn(key, cost, priority, scope);
    } finally {
      scope.unfollow();
      this.#scopes.delete(scope);
    }
  }

  close(): void {
    for (const scope of this.#scopes) {
      scope.abort(new AbortedError('HOTPATH_CLOSED', `rate limiter '${this.#options.name}' is closed`));
    }
  }

  async #takeTurn(
    key: string | undefined,
    cost: number | undefined,
    priority: number,
    scope: ChildScope,
  ): Promise<DistributedAdmission> {
    const gate = this.#gateOf(key ?? '');
    if (!gate.tryEnter()) await gate.enter(scope, priority);
    try {
      return await this.#poll(key, cost, scope);
    } finally {
      gate.leave();
      if (gate.inFlight === 0) this.#gates.delete(key ?? '');
    }
  }

  async #poll(
    key: string | undefined,
    cost: number | undefined,
    scope: ChildScope,
  ): Promise<DistributedAdmission> {
    const { clock, name } = this.#options;
    for (;;) {
      const admission = await this.#tryAcquire(cost, key, scope.signal);
      if (admission.allowed) return admission;
      const waitMs = Math.max(LEAST_WAIT_MS, admission.retryAfterMs);
      if (clock.now() + waitMs > scope.deadlineMs) throw limited(name, admission.retryAfterMs);
      await sleep(waitMs, { signal: scope.signal, clock });
    }
  }

  #gateOf(key: string): ConcurrencyGate {
    const known = this.#gates.get(key);
    if (known !== undefined) return known;
    const { clock, maxWaiting, name } = this.#options;
    const gate = new ConcurrencyGate(1, maxWaiting, Number.POSITIVE_INFINITY, clock, {
      full: () => queueFull(name, maxWaiting, undefined),
      late: () => limited(name, undefined),
    });
    this.#gates.set(key, gate);
    return gate;
  }
}
