import { createVirtualClock } from '@hotpath/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CircuitBreakerOptions, circuitBreaker } from '../../src/index.ts';

interface Rules {
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly window: { readonly calls: number } | { readonly buckets: number };
  readonly consecutiveFailures: number | undefined;
  readonly probes: number;
}

const BUCKET_MS = 100;
const OPEN_MS = 250;
const HALF_OPEN_MS = 400;

interface Outcome {
  readonly atMs: number;
  readonly failed: boolean;
}

/** A breaker written down in the plainest way: it keeps every outcome, and counts anew each time. */
class ModelBreaker {
  readonly #rules: Rules;
  state: 'closed' | 'open' | 'half-open' = 'closed';
  #outcomes: Outcome[] = [];
  #firstMs: number | undefined;
  #openUntilMs = 0;
  #inFlight = 0;
  #hungAtMs = 0;
  #generation = 0;

  constructor(rules: Rules) {
    this.#rules = rules;
  }

  refresh(nowMs: number): void {
    if (this.state === 'open' && nowMs >= this.#openUntilMs) this.#move('half-open');
    else if (this.state === 'half-open' && this.#inFlight > 0 && nowMs >= this.#hungAtMs) this.#open(nowMs);
  }

  enter(nowMs: number): number | undefined {
    this.refresh(nowMs);
    if (this.state === 'open') return undefined;
    if (this.state === 'half-open') {
      if (this.#inFlight + this.#outcomes.length >= this.#rules.probes) return undefined;
      if (this.#inFlight === 0) this.#hungAtMs = nowMs + HALF_OPEN_MS;
      this.#inFlight++;
    }
    return this.#generation;
  }

  record(permit: number, failed: boolean, nowMs: number): void {
    if (permit !== this.#generation) return;
    const { probes, failureRatio, minimumCalls, consecutiveFailures } = this.#rules;
    this.#outcomes.push({ atMs: nowMs, failed });
    if (this.state === 'half-open') {
      this.#inFlight--;
      if (this.#outcomes.length < probes) return;
      const failures = this.#outcomes.filter((outcome) => outcome.failed).length;
      if (failures / probes >= failureRatio) this.#open(nowMs);
      else this.#move('closed');
      return;
    }
    this.#firstMs ??= nowMs;
    const counted = this.#inWindow(nowMs);
    const failures = counted.filter((outcome) => outcome.failed).length;
    const lastSuccess = this.#outcomes.findLastIndex((outcome) => !outcome.failed);
    const inRow = this.#outcomes.length - 1 - lastSuccess;
    const byRatio =
      counted.length >= minimumCalls && failures > 0 && failures / counted.length >= failureRatio;
    if (byRatio || inRow >= (consecutiveFailures ?? Number.POSITIVE_INFINITY)) this.#open(nowMs);
  }

  release(permit: number): void {
    if (permit === this.#generation && this.state === 'half-open') this.#inFlight--;
  }

  #inWindow(nowMs: number): Outcome[] {
    const { window } = this.#rules;
    if ('calls' in window) return this.#outcomes.slice(-window.calls);
    const bucketOf = (atMs: number): number => Math.floor((atMs - (this.#firstMs ?? 0)) / BUCKET_MS);
    const oldest = bucketOf(nowMs) - window.buckets + 1;
    return this.#outcomes.filter((outcome) => bucketOf(outcome.atMs) >= oldest);
  }

  #open(nowMs: number): void {
    this.#openUntilMs = nowMs + OPEN_MS;
    this.#move('open');
  }

  #move(state: 'closed' | 'open' | 'half-open'): void {
    this.state = state;
    this.#generation++;
    this.#outcomes = [];
    this.#inFlight = 0;
  }
}

const rules: fc.Arbitrary<Rules> = fc.record({
  failureRatio: fc.constantFrom(0.25, 0.5, 1),
  minimumCalls: fc.integer({ min: 1, max: 5 }),
  window: fc.oneof(
    fc.record({ calls: fc.integer({ min: 5, max: 9 }) }),
    fc.record({ buckets: fc.integer({ min: 1, max: 5 }) }),
  ),
  consecutiveFailures: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  probes: fc.integer({ min: 1, max: 4 }),
});

const act = fc.oneof(
  { weight: 3, arbitrary: fc.constant('success' as const) },
  { weight: 3, arbitrary: fc.constant('failure' as const) },
  { weight: 1, arbitrary: fc.constantFrom('hang' as const, 'ignore' as const) },
  { weight: 2, arbitrary: fc.constantFrom('late success' as const, 'late failure' as const) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 300 }) },
);

describe('a breaker', () => {
  it('is where a slow, obvious model of it is, whatever comes and whenever', () => {
    fc.assert(
      fc.property(rules, fc.array(act, { maxLength: 120, size: 'max' }), (given, acts) => {
        let nowMs = 0;
        const clock = { ...createVirtualClock(), now: () => nowMs };
        const { window, consecutiveFailures, ...same } = given;
        const options: CircuitBreakerOptions = {
          ...same,
          ...('calls' in window
            ? { windowCalls: window.calls }
            : { windowMs: BUCKET_MS * window.buckets, windowBuckets: window.buckets }),
          ...(consecutiveFailures === undefined ? {} : { consecutiveFailures }),
          openMs: OPEN_MS,
          openFactor: 1,
          halfOpenMs: HALF_OPEN_MS,
          clock,
        };
        const breaker = circuitBreaker(options);
        const model = new ModelBreaker(given);
        const hanging: (readonly [number, number])[] = [];
        for (const each of acts) {
          if (typeof each === 'number') {
            nowMs += each;
          } else if (each.startsWith('late')) {
            const [permit, modelPermit] = hanging.shift() ?? [];
            if (permit === undefined || modelPermit === undefined) continue;
            if (each === 'late success') breaker.recordSuccess(permit);
            else breaker.recordFailure(permit);
            model.record(modelPermit, each === 'late failure', nowMs);
          } else {
            const permit = breaker.tryEnter();
            const modelPermit = model.enter(nowMs);
            expect(permit !== 0).toBe(modelPermit !== undefined);
            if (modelPermit === undefined) continue;
            if (each === 'hang') hanging.push([permit, modelPermit]);
            else if (each === 'ignore') {
              breaker.release(permit);
              model.release(modelPermit);
            } else {
              if (each === 'success') breaker.recordSuccess(permit);
              else breaker.recordFailure(permit);
              model.record(modelPermit, each === 'failure', nowMs);
            }
          }
          model.refresh(nowMs);
          expect(breaker.state).toBe(model.state);
        }
      }),
      { numRuns: 300 },
    );
  });
});
