import { AbortedError, type Milliseconds, TimeoutError, type TimerHandle } from '@hotpath/core';
import { events } from '../events.ts';
import type { Entry } from './entry.ts';
import { deepClone } from './hand-out.ts';
import type { LocalKey } from './key-codec.ts';
import { drawLifetime, type Lifetime } from './lifetime.ts';
import { Context, type Load } from './load.ts';
import type { Proof } from './proof.ts';
import type { Region } from './region.ts';
import type { SharedReader, SharedStatus, SharedValue } from './tier.ts';

/** Another process's load is looked after at growing intervals: soon at first, never more often than this. */
const FIRST_POLL_MS = 2;
const LONGEST_POLL_MS = 50;

/** One way of a value into this process, for all who asked for it meanwhile. */
export class Flight implements SharedReader {
  readonly key: LocalKey;
  readonly sharedKey: string;
  wantsLease = true;
  readonly #region: Region;
  readonly #load: Load;
  /** Served when the load fails, as long as its grace lasts. */
  readonly #fallback: Entry | undefined;
  #promise!: Promise<unknown>;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  #value: unknown = undefined;
  #isCloned = false;
  #isSettled = false;
  /** The load has taken longer than callers wait for it where an old value may be served. */
  #isLate = false;
  #isAbandoned = false;
  #waiters = 0;
  #isFenced = false;
  #lease = '';
  #bornMs: Milliseconds;
  #epoch: number;
  #drops: number;
  #detachments: number;
  #proof: Proof | undefined;
  #context: Context | undefined;
  #sharedFallback: SharedValue | undefined;
  #pollMs = FIRST_POLL_MS;
  #giveUpMs = 0;

  constructor(region: Region, key: LocalKey, load: Load, fallback: Entry | undefined) {
    this.key = key;
    this.#region = region;
    this.#load = load;
    this.#fallback = fallback;
    const { core } = region;
    this.sharedKey = core.tier === undefined ? '' : region.shared(key);
    this.#bornMs = core.hotClock.now();
    this.#epoch = core.marks.version;
    this.#drops = region.drops;
    this.#detachments = region.detachments;
    this.#proof = core.tier?.proofFor(this.sharedKey);
    this.#renewPromise();
  }

  #renewPromise(): void {
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** When it began: what it brings may have been invalidated elsewhere since. */
  get bornMs(): Milliseconds {
    return this.#bornMs;
  }

  /** The subscription's proof when it began. */
  get proof(): Proof | undefined {
    return this.#proof;
  }

  /** Waits for the value; each waiter gets it in the form that the region promises. */
  join(signal: AbortSignal | undefined): Promise<unknown> {
    this.#waiters++;
    if (!this.#isLate) return this.#wait(signal);
    const isServed = this.#settleWithFallback();
    const joined = this.#wait(signal);
    if (isServed) this.#goOnAlone();
    return joined;
  }

  /** Those who waited have the old value; whoever comes next waits for the load, unless it may be served again. */
  #goOnAlone(): void {
    this.#waiters = 0;
    this.#isSettled = false;
    this.#renewPromise();
    this.#promise.catch(() => {});
  }

  #wait(signal: AbortSignal | undefined): Promise<unknown> {
    if (signal !== undefined) return this.#joinWith(signal);
    // The first waiter takes the promise itself; what it resolves with is a copy of its own where copies are made.
    return this.#waiters === 1 ? this.#promise : this.#promise.then(() => this.#handOut());
  }

  #handOut(): unknown {
    return this.#isCloned ? deepClone(this.#value) : this.#value;
  }

  get readableKey(): string {
    return this.#region.readable(this.key);
  }

  #joinWith(signal: AbortSignal): Promise<unknown> {
    const joined = this.#promise;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason);
        // Who has been given the old value waits no more, and the load goes on alone.
        if (joined !== this.#promise || --this.#waiters > 0) return;
        this.#isAbandoned = true;
        this.#region.detach(this);
        this.#context?.abort(
          new AbortedError('HOTPATH_FLIGHT_ABANDONED', 'every waiter of this load has left'),
        );
      };
      signal.addEventListener('abort', leave, { once: true });
      joined.then(
        () => {
          signal.removeEventListener('abort', leave);
          resolve(this.#handOut());
        },
        (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      );
    });
  }

  /** Nothing that this flight brings may be kept: the key was invalidated since it began. */
  fence(): void {
    this.#isFenced = true;
  }

  start(): void {
    const { tier } = this.#region.core;
    if (tier === undefined) void this.#loadValue();
    else tier.read(this);
  }

  /** As `start`, for a value that is being served meanwhile: nobody waits, and a failure is only counted. */
  startRefresh(): void {
    this.#promise.catch(() => {});
    const { tier } = this.#region.core;
    if (tier === undefined) void this.#loadValue();
    else tier.acquire(this, this.#fallback?.expiresMs);
  }

  onShared(status: SharedStatus, shared: SharedValue | undefined, lease: string): void {
    const { counters, tier } = this.#region.core;
    if (this.#isAbandoned && status !== 'hit') {
      // Everybody left before the load had begun.
      if (lease !== '') tier?.release(this.sharedKey, lease);
      return;
    }
    switch (status) {
      case 'hit':
        this.#onHit(shared as SharedValue);
        return;
      case 'granted':
        counters.l2Misses++;
        this.#lease = lease;
        void this.#loadValue();
        return;
      case 'leased':
        // A refresh that nobody waits for is another process's now.
        if (this.#waiters === 0) this.#region.land(this);
        else this.#awaitOther();
        return;
      default:
        if (status === 'missing') counters.l2Misses++;
        void this.#loadValue();
    }
  }

  #onHit(shared: SharedValue): void {
    const { core } = this.#region;
    const restMs = shared.lifetime.freshMs - shared.ageMs;
    if (restMs <= 0 && restMs + shared.lifetime.staleMs <= 0) {
      // Only good enough to stand in for a load that fails.
      if (restMs + shared.lifetime.graceMs > 0) this.#sharedFallback = shared;
      core.tier?.acquire(this, core.clock.now() + restMs);
      return;
    }
    const isCloned = this.#region.isCopied(shared.value);
    this.#isCloned = isCloned;
    // First, as a value that can't be copied for its readers throws here.
    this.#settle(shared.value);
    core.counters.l2Hits++;
    if (restMs <= 0) core.counters.stale++;
    this.#keep(shared.value, isCloned, shared.tags, shared.lifetime, shared.ageMs, shared.bytes);
    this.#region.land(this);
    if (restMs <= 0) this.#region.refreshBehind(this.key, this.#load);
  }

  #awaitOther(): void {
    const { clock, counters, leaseWaitMs, tier } = this.#region.core;
    const nowMs = clock.now();
    if (this.#giveUpMs === 0) {
      this.#giveUpMs = nowMs + leaseWaitMs;
      counters.leaseWaits++;
    } else if (nowMs >= this.#giveUpMs) {
      counters.leaseTimeouts++;
      void this.#loadValue();
      return;
    }
    clock.setTimeout(() => tier?.read(this), this.#pollMs);
    this.#pollMs = Math.min(this.#pollMs * 1.5, LONGEST_POLL_MS);
  }

  async #loadValue(): Promise<void> {
    const { core } = this.#region;
    const { options } = this.#load;
    if (this.#giveUpMs !== 0) {
      // What was waited for elsewhere proves nothing about what is loaded from here on.
      this.#bornMs = core.hotClock.exact();
      this.#epoch = core.marks.version;
      this.#drops = this.#region.drops;
      this.#detachments = this.#region.detachments;
      this.#proof = core.tier?.proofFor(this.sharedKey);
    }
    const context = new Context();
    this.#context = context;
    const startedMs = core.clock.now();
    let hardTimer: TimerHandle | undefined;
    let softTimer: TimerHandle | undefined;
    core.counters.loads++;
    core.counters.loadsInFlight++;
    this.#region.loadsInFlight++;
    try {
      const timedOut = new Promise<never>((_resolve, reject) => {
        if (options.timeoutMs === Number.POSITIVE_INFINITY) return;
        hardTimer = core.clock.setTimeout(() => {
          const error = new TimeoutError(
            'HOTPATH_CACHE_LOAD_TIMEOUT',
            `${this.#region.readablePrefix || 'the value'}: not loaded within ${options.timeoutMs} ms`,
          );
          reject(error);
          context.abort(error);
        }, options.timeoutMs);
      });
      if (options.softTimeoutMs !== Number.POSITIVE_INFINITY) {
        softTimer = core.clock.setTimeout(() => {
          this.#isLate = true;
          if (this.#settleWithFallback()) this.#goOnAlone();
        }, options.softTimeoutMs);
      }
      const loaded = core.loads.run(context, () => this.#load.run(context));
      const value = await (isThenable(loaded) ? Promise.race([loaded, timedOut]) : loaded);
      const tags = context.tags.length === 0 ? this.#load.tags() : [...this.#load.tags(), ...context.tags];
      this.#onLoaded(value, tags, context, core.clock.now() - startedMs);
    } catch (error) {
      this.#onFailed(error);
    } finally {
      core.counters.loadsInFlight--;
      this.#region.loadsInFlight--;
      core.clock.clearTimeout(hardTimer);
      core.clock.clearTimeout(softTimer);
    }
  }

  #onLoaded(value: unknown, tags: readonly string[], context: Context, loadMs: Milliseconds): void {
    const { core } = this.#region;
    const lifetime = drawLifetime(this.#load.options, value, context.ttlMs, loadMs, core.random);
    const isKept = !context.isSkipped && lifetime.freshMs > 0;
    const isCloned = this.#region.isCopied(value);
    this.#isCloned = isCloned;
    this.#region.land(this);
    // First, as a value that can't be copied for its readers throws here.
    this.#settle(value);
    const entry = isKept ? this.#keep(value, isCloned, tags, lifetime, 0, undefined) : undefined;
    if (events.load.hasSubscribers) {
      events.load.publish({
        namespace: core.namespace,
        key: this.readableKey,
        durationMs: loadMs,
        outcome: 'ok',
      });
    }
    if (this.#lease === '' || core.tier === undefined) return;
    if (!isKept || this.#isFenced) {
      core.tier.release(this.sharedKey, this.#lease);
      return;
    }
    core.tier.fill({ sharedKey: this.sharedKey, value, tags, lifetime }, this.#lease).then((isStored) => {
      if (isStored) return;
      core.counters.refusedFills++;
      if (entry !== undefined) this.#region.dropEntry(this.key, entry);
    });
  }

  /** Off its key it can't be fenced: any drop since may have been the one of its key. */
  get #mayHaveMissedDrop(): boolean {
    const { detachments, drops } = this.#region;
    return this.#detachments !== detachments && this.#drops !== drops;
  }

  /** Keeps the value in memory, unless it was invalidated since this flight began. */
  #keep(
    value: unknown,
    isCloned: boolean,
    tags: readonly string[],
    lifetime: Lifetime,
    ageMs: Milliseconds,
    bytes: number | undefined,
  ): Entry | undefined {
    const { core } = this.#region;
    if (this.#isFenced || this.#mayHaveMissedDrop) return undefined;
    if (core.bypassWhenAway && core.tier?.isAway(this.sharedKey)) return undefined;
    const { marks } = core;
    if (marks.version !== this.#epoch && marks.invalidates(this.#epoch, tags, () => this.readableKey)) {
      return undefined;
    }
    const origin = { bornMs: this.#bornMs, epoch: this.#epoch, proof: this.#proof };
    const beta = this.#load.options.earlyRefreshBeta;
    return this.#region.store(this.key, value, isCloned, tags, lifetime, ageMs, origin, beta, bytes);
  }

  #onFailed(error: unknown): void {
    const { core } = this.#region;
    core.counters.loadErrors++;
    this.#region.land(this);
    if (this.#lease !== '') core.tier?.release(this.sharedKey, this.#lease);
    if (events.load.hasSubscribers) {
      const durationMs = core.clock.now() - this.#bornMs;
      events.load.publish({
        namespace: core.namespace,
        key: this.readableKey,
        durationMs,
        outcome: 'error',
        error,
      });
    }
    if (this.#settleWithFallback() || this.#isSettled) return;
    this.#isSettled = true;
    this.#reject(error);
  }

  /** Settles with the old value where there is one that may still be served. */
  #settleWithFallback(): boolean {
    if (this.#isSettled || this.#isFenced) return false;
    const { core } = this.#region;
    const entry = this.#fallback;
    if (entry !== undefined) {
      const verdict = this.#region.judge(this.key, entry);
      if (verdict === 'dead' || verdict === 'unproven') return false;
      core.counters.stale += this.#waiters;
      this.#isCloned = entry.isCloned;
      this.#settle(entry.value);
      return true;
    }
    const shared = this.#sharedFallback;
    if (shared === undefined) return false;
    if (core.hotClock.exact() >= this.#bornMs + core.maxStalenessMs) return false;
    core.counters.stale += this.#waiters;
    this.#isCloned = this.#region.isCopied(shared.value);
    this.#settle(shared.value);
    return true;
  }

  #settle(value: unknown): void {
    if (this.#isSettled) return;
    this.#value = value;
    const handedOut = this.#handOut();
    this.#isSettled = true;
    this.#resolve(handedOut);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}
