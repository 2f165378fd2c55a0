import { isHotpathError, type Milliseconds, type TimerHandle } from '@hotpath/core';
import { BasePolicy, closedError } from './internal/base-policy.ts';
import { BucketView } from './internal/bucket-view.ts';
import { type Admission, type Bucket, Gcra } from './internal/gcra.ts';
import { KeyLease } from './internal/key-lease.ts';
import { KeyTable } from './internal/key-table.ts';
import type { LeaseReply } from './internal/lease-script.ts';
import { LeaseStore } from './internal/lease-store.ts';
import { type DistributedAdmission, Take } from './internal/lease-take.ts';
import { LeaseTurns } from './internal/lease-turns.ts';
import { limited, wrongCost } from './internal/limiter-errors.ts';
import { BARE_SCOPE, CallScope } from './internal/scope.ts';
import { type TimeSource, timeSource } from './internal/turn-clock.ts';
import type { Step } from './policy.ts';
import type { AcquireOptions } from './rate-limiter-types.ts';
import {
  type RedisRateLimiterOptions,
  type ResolvedRedisRateLimiterOptions,
  resolveRedisRateLimiterOptions,
} from './redis-rate-limiter-options.ts';
import type {
  RedisRateLimiter,
  RedisRateLimiterError,
  RedisRateLimiterStats,
} from './redis-rate-limiter-types.ts';

// So many calls go into one run of the script: it must not hold up the server for others.
const MOST_CALLS = 256;

class LeasingRateLimiter extends BasePolicy<RedisRateLimiterError> implements RedisRateLimiter {
  readonly kind = 'redis-rate-limiter';
  readonly #options: ResolvedRedisRateLimiterOptions;
  readonly #view: BucketView;
  readonly #time: TimeSource;
  readonly #leases: KeyTable<KeyLease<Take>>;
  readonly #holding = new Set<KeyLease<Take>>();
  readonly #asking = new Set<Promise<void>>();
  readonly #store: LeaseStore;
  readonly #share: Gcra;
  readonly #homeless: Bucket = { tatMs: 0 };
  readonly #turns: LeaseTurns;
  #sweep: TimerHandle | undefined;
  #pending = 0;
  #closed = false;
  #allowedTotal = 0;
  #refusedTotal = 0;
  #localTotal = 0;
  #leasedTotal = 0;
  #returnedTotal = 0;
  #lostTotal = 0;

  constructor(options: ResolvedRedisRateLimiterOptions) {
    super(options.name);
    const { limit, perMs, burst, nodes, clock, maxKeys } = options;
    this.#options = options;
    this.#view = new BucketView(burst, limit / perMs);
    this.#time = timeSource(clock);
    this.#leases = new KeyTable(maxKeys, (lease) => {
      lease.mayHold = false;
      this.#underWay(this.#giveBack(lease));
    });
    this.#store = new LeaseStore(options);
    this.#share = new Gcra(limit / nodes, perMs, Math.max(1, burst / nodes));
    this.#turns = new LeaseTurns(options, {
      ask: (cost, key, signal) => this.#decide(cost, key, false, signal),
      refused: (key, { code, retryAfterMs }) => this.#countRefusal(key, code, retryAfterMs),
    });
  }

  tryAcquire(cost = 1, key = '', signal?: AbortSignal): Promise<DistributedAdmission> {
    return this.#decide(cost, key, true, signal);
  }

  #decide(
    cost: number,
    key: string,
    final: boolean,
    signal: AbortSignal | undefined,
  ): Promise<DistributedAdmission> {
    if (typeof cost !== 'number' || !(cost > 0)) return Promise.reject(wrongCost('redisRateLimiter', cost));
    if (this.#closed) return Promise.reject(closedError('rate limiter', this.name));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const nowMs = this.#time.now();
    const lease = this.#leaseOf(key, nowMs);
    lease.usedMs = nowMs;
    if (lease.units >= cost && lease.pending.length === 0) {
      lease.spend(cost);
      this.#allowedTotal++;
      this.#localTotal++;
      if (lease.runsLow && !lease.fetching) this.#flushSoon(lease);
      return Promise.resolve(this.#view.admission(lease, nowMs, 'lease'));
    }
    if (nowMs < lease.deniedUntilMs || cost > this.#options.burst) {
      this.#localTotal++;
      return Promise.resolve(this.#refused(lease, cost, final, nowMs, 'refusal'));
    }
    if (this.#pending >= this.#options.maxWaiting)
      return Promise.resolve(this.#byRule(lease, cost, final, nowMs));
    return new Promise((resolve, reject) => {
      lease.pending.push(new Take(cost, final, signal, resolve, reject));
      this.#pending++;
      this.#flushSoon(lease);
    });
  }

  async acquire(options: AcquireOptions = {}): Promise<DistributedAdmission> {
    const scope = options.signal === undefined ? BARE_SCOPE : new CallScope(options);
    const { key = '', cost = 1, priority, deadlineMs = Number.POSITIVE_INFINITY } = options;
    return this.#turns.acquire(key, cost, priority, deadlineMs, scope);
  }

  _compile(next: Step): Step {
    const { maxWaitMs } = this.#options;
    return async (work, scope) => {
      const { key = '', cost = 1, priority } = scope.options;
      try {
        if (maxWaitMs > 0) {
          await this.#turns.acquire(key, cost, priority, maxWaitMs, scope);
        } else {
          const admission = await this.tryAcquire(cost, key, scope.abortable ? scope.signal : undefined);
          if (!admission.allowed) throw limited(this.name, admission.retryAfterMs);
        }
      } catch (error) {
        throw isHotpathError(error) && !scope.aborted ? scope.refuse(error) : error;
      }
      if (scope.aborted) throw scope.reason;
      return next(work, scope);
    };
  }

  stats(): RedisRateLimiterStats {
    return {
      kind: 'redis-rate-limiter',
      name: this.name,
      allowedTotal: this.#allowedTotal,
      refusedTotal: this.#refusedTotal,
      localTotal: this.#localTotal,
      scriptsTotal: this.#store.scriptsTotal,
      scriptFailuresTotal: this.#store.failuresTotal,
      leasedTotal: this.#leasedTotal,
      returnedTotal: this.#returnedTotal,
      lostTotal: this.#lostTotal,
      lost: this.#store.lost,
      waiting: this.#pending + this.#turns.waiting,
      keys: this.#leases.size,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#sweep);
    this.#turns.close();
    for (const lease of this.#leases.values()) {
      for (const take of lease.pending.splice(0)) {
        this.#pending--;
        take.reject(closedError('rate limiter', this.name));
      }
    }
    // What is under way may still bring units, and they are to go back as well.
    await Promise.all(this.#asking);
    await Promise.all([...this.#holding].map((lease) => this.#giveBack(lease)));
  }

  #leaseOf(key: string, nowMs: Milliseconds): KeyLease<Take> {
    const known = this.#leases.get(key);
    if (known !== undefined) return known;
    const lease = new KeyLease<Take>(key, nowMs);
    // Without room for it, it serves this one call and is forgotten.
    lease.mayHold = this.#leases.add(key, lease, nowMs);
    return lease;
  }

  /** Asks Redis at the end of this turn of the microtask queue, for everybody who came in it. */
  #flushSoon(lease: KeyLease<Take>): void {
    if (lease.flushing) return;
    lease.flushing = true;
    queueMicrotask(() => {
      lease.flushing = false;
      this.#flush(lease);
    });
  }

  #flush(lease: KeyLease<Take>): void {
    const { maxLease } = this.#options;
    // Who leases has one request under way, so that it never holds more than it may.
    if (maxLease > 0 && lease.fetching) return;
    const takes = lease.pending.splice(0, MOST_CALLS);
    const wanted = takes.filter((take) => take.wanted);
    this.#pending -= takes.length - wanted.length;
    const extra =
      maxLease > 0 && lease.mayHold && !this.#closed ? lease.wanted(maxLease, this.#time.now()) : 0;
    if (wanted.length > 0 || extra > 0) {
      this.#underWay(this.#ask(lease, wanted, extra));
    }
    if (lease.pending.length > 0) this.#flushSoon(lease);
  }

  /** What is under way is waited for at close: it may bring units, or take some back. */
  #underWay(task: Promise<void>): void {
    const settled = task.finally(() => this.#asking.delete(settled));
    this.#asking.add(settled);
  }

  async #ask(lease: KeyLease<Take>, takes: readonly Take[], extra: number): Promise<void> {
    lease.fetching = true;
    const reply = await this.#store.run(lease.key, {
      returned: 0,
      wanted: extra,
      costs: takes.map((take) => take.cost),
    });
    lease.fetching = false;
    this.#pending -= takes.length;
    const nowMs = this.#options.clock.now();
    if (reply === undefined)
      for (const take of takes) take.resolve(this.#byRule(lease, take.cost, take.final, nowMs));
    else this.#distribute(lease, takes, reply, nowMs);
    this.#serveHeld(lease, nowMs);
    if (lease.pending.length > 0) this.#flushSoon(lease);
  }

  /** Gives those who came meanwhile what the answer brought, in their order. */
  #serveHeld(lease: KeyLease<Take>, nowMs: Milliseconds): void {
    let served = 0;
    for (const take of lease.pending) {
      if (take.wanted) {
        if (take.cost > lease.units) break;
        lease.spend(take.cost);
        this.#allowedTotal++;
        this.#localTotal++;
        take.resolve(this.#view.admission(lease, nowMs, 'lease'));
      }
      served++;
    }
    lease.pending.splice(0, served);
    this.#pending -= served;
  }

  #distribute(lease: KeyLease<Take>, takes: readonly Take[], reply: LeaseReply, nowMs: Milliseconds): void {
    lease.level = reply.level;
    lease.levelAtMs = nowMs;
    lease.units += reply.leased;
    this.#leasedTotal += reply.leased;
    if (lease.units > 0) this.#hold(lease);
    for (const [index, take] of takes.entries()) {
      if (reply.answers[index] === '1') {
        lease.spentByAnswer(take.cost);
        this.#allowedTotal++;
        take.resolve(this.#view.admission(lease, nowMs, 'redis'));
      } else {
        // The smallest cost that was refused says from when on anything may be had again.
        if (take.cost <= 1) lease.deniedUntilMs = nowMs + this.#view.waitMs(reply.level, take.cost);
        take.resolve(this.#refused(lease, take.cost, take.final, nowMs, 'redis'));
      }
    }
  }

  #byRule(lease: KeyLease<Take>, cost: number, final: boolean, nowMs: Milliseconds): DistributedAdmission {
    const { onLost } = this.#options;
    this.#lostTotal++;
    let admission: Admission;
    if (onLost === 'share') {
      // A key that there is no room to remember shares one bucket with all such: fewer get through, and never more.
      admission = this.#share.take(lease.mayHold ? lease : this.#homeless, cost, nowMs);
    } else {
      const allowed = onLost === 'open';
      const waitMs = allowed ? 0 : this.#store.retryAfterMs;
      admission = { allowed, remaining: 0, retryAfterMs: waitMs, resetMs: waitMs };
    }
    if (admission.allowed) this.#allowedTotal++;
    else if (final) this.#countRefusal(lease.key, 'HOTPATH_RATE_LIMITED', admission.retryAfterMs);
    return { ...admission, decidedBy: onLost };
  }

  #refused(
    lease: KeyLease<Take>,
    cost: number,
    final: boolean,
    nowMs: Milliseconds,
    decidedBy: 'redis' | 'refusal',
  ): DistributedAdmission {
    const refusal = this.#view.refusal(lease, cost, nowMs, decidedBy);
    if (final) this.#countRefusal(lease.key, 'HOTPATH_RATE_LIMITED', refusal.retryAfterMs);
    return refusal;
  }

  #countRefusal(key: string, code: string, retryAfterMs: Milliseconds | undefined): void {
    this.#refusedTotal++;
    this.tellRejected(code, key, retryAfterMs);
  }

  #hold(lease: KeyLease<Take>): void {
    this.#holding.add(lease);
    if (this.#sweep !== undefined || this.#closed) return;
    const { clock, idleMs } = this.#options;
    this.#sweep = clock.setTimeout(() => {
      this.#sweep = undefined;
      this.#returnIdle();
    }, idleMs);
    this.#sweep.unref();
  }

  #returnIdle(): void {
    const nowMs = this.#options.clock.now();
    let kept: KeyLease<Take> | undefined;
    for (const lease of this.#holding) {
      if (nowMs - lease.usedMs < this.#options.idleMs) kept = lease;
      else this.#underWay(this.#giveBack(lease));
    }
    if (kept !== undefined) this.#hold(kept);
  }

  async #giveBack(lease: KeyLease<Take>): Promise<void> {
    const returned = lease.units;
    lease.units = 0;
    this.#holding.delete(lease);
    if (returned <= 0) return;
    const reply = await this.#store.run(lease.key, { returned, wanted: 0, costs: [] });
    if (reply !== undefined) this.#returnedTotal += returned;
  }
}

/**
 * Makes a rate limiter for a fleet: nodes lease units from one bucket in Redis, spend them without asking,
 * and ask again before they run out; what they do not use goes back.
 *
 * The bucket lives on the server's clock, in one key, changed by one script: it works on Redis and on
 * Redis Cluster. A node that dies takes at most its lease (`maxLease`) with it; a Redis that forgets (a
 * restart without persistence) forgives at most one `burst`.
 *
 * @example
 * const limiter = redisRateLimiter({ redis: new Redis(), limit: 10_000, burst: 1_000, onLost: 'open' });
 * const { allowed, decidedBy } = await limiter.tryAcquire(1, 'client-7');
 *
 * @throws RejectedError (HOTPATH_RATE_LIMITED, HOTPATH_RATE_QUEUE_FULL) from `execute`, when it refuses.
 * @throws AbortedError (HOTPATH_CLOSED) from `execute`, after `close()`.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function redisRateLimiter(options: RedisRateLimiterOptions): RedisRateLimiter {
  return new LeasingRateLimiter(resolveRedisRateLimiterOptions(options));
}
