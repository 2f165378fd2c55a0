import { AbortedError, type Milliseconds, RejectedError, sleep } from '@hotpath/core';
import type { ResolvedRedisRateLimiterOptions } from '../redis-rate-limiter-options.ts';
import { ConcurrencyGate } from './concurrency-gate.ts';
import type { DistributedAdmission } from './lease-take.ts';
import { limited, queueFull, wrongArgument, wrongCost } from './limiter-errors.ts';
import { ChildScope, type Scope } from './scope.ts';
import { checkedPriority } from './waiting-room.ts';

/** What the limiter does for those who wait. */
export interface LeaseTurnsOwner {
  /** Asks once, without counting a refusal. */
  ask(cost: number, key: string, signal: AbortSignal | undefined): Promise<DistributedAdmission>;
  /** A call was ended by this error. */
  refused(key: string, error: RejectedError): void;
}

/** No wait between two tries is shorter, so that a waiter can't spin. */
const LEAST_WAIT_MS = 1;

/**
 * Who waits for units of a key on this node: one at a time asks, the others stand behind it in the order
 * of priority and arrival.
 */
export class LeaseTurns {
  readonly #options: ResolvedRedisRateLimiterOptions;
  readonly #owner: LeaseTurnsOwner;
  readonly #gates = new Map<string, ConcurrencyGate>();
  readonly #scopes = new Set<ChildScope>();

  constructor(options: ResolvedRedisRateLimiterOptions, owner: LeaseTurnsOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  get waiting(): number {
    return this.#scopes.size;
  }

  async acquire(
    key: string,
    cost: number,
    givenPriority: number | undefined,
    patienceMs: Milliseconds,
    parent: Scope,
  ): Promise<DistributedAdmission> {
    if (typeof cost !== 'number' || !(cost > 0)) throw wrongCost('redisRateLimiter', cost);
    if (typeof patienceMs !== 'number' || !(patienceMs >= 0)) {
      throw wrongArgument('redisRateLimiter', 'deadlineMs', 'a number of at least 0', patienceMs);
    }
    const priority = checkedPriority('redisRateLimiter', givenPriority);
    if (parent.aborted) throw parent.reason;
    try {
      return await this.#acquire(key, cost, priority, patienceMs, parent);
    } catch (error) {
      if (error instanceof RejectedError && !parent.aborted) this.#owner.refused(key, error);
      throw error;
    }
  }

  async #acquire(
    key: string,
    cost: number,
    priority: number,
    patienceMs: Milliseconds,
    parent: Scope,
  ): Promise<DistributedAdmission> {
    const { burst, clock, maxWaiting, name } = this.#options;
    if (cost > burst) throw limited(name, Number.POSITIVE_INFINITY);
    if (!this.#gates.has(key)) {
      const admission = await this.#owner.ask(cost, key, parent.abortable ? parent.signal : undefined);
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
    key: string,
    cost: number,
    priority: number,
    scope: ChildScope,
  ): Promise<DistributedAdmission> {
    const gate = this.#gateOf(key);
    if (!gate.tryEnter()) await gate.enter(scope, priority);
    try {
      return await this.#poll(key, cost, scope);
    } finally {
      gate.leave();
      if (gate.inFlight === 0) this.#gates.delete(key);
    }
  }

  async #poll(key: string, cost: number, scope: ChildScope): Promise<DistributedAdmission> {
    const { clock, name } = this.#options;
    for (;;) {
      const admission = await this.#owner.ask(cost, key, scope.signal);
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
