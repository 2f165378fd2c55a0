import type { Milliseconds } from '@hotpath/core';
import type { ResolvedCircuitBreakerOptions } from '../circuit-options.ts';
import type {
  CircuitBreakerError,
  CircuitBreakerStats,
  CircuitSnapshot,
  CircuitState,
  Permit,
} from '../circuit-types.ts';
import { type CircuitStateEvent, circuitStateEvents, rejectedEvents } from '../events.ts';
import { mustOpen, openLengthMs, refusalIn, roundFailed } from './circuit-rules.ts';
import { readSnapshot } from './circuit-snapshot.ts';
import { CountWindow, FAILURE, type OutcomeWindow, SLOW, SUCCESS, TimeWindow } from './outcome-window.ts';
import { ProbeRound } from './probe-round.ts';
import { type TimeSource, timeSource } from './turn-clock.ts';

export const CLOSED = 0 as number;
const OPEN = 1;
const HALF_OPEN = 2;
const ISOLATED = 3;
const SHUT = 4;
const STATES: readonly CircuitState[] = ['closed', 'open', 'half-open', 'isolated', 'shut'];

interface Counted {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}
const NOTHING: Counted = { calls: 0, failures: 0, slow: 0 };

/** Told about every change of state, besides the telemetry: the opossum face is one. */
export interface CircuitObserver {
  onState(to: CircuitState): void;
}

/**
 * The state machine of a breaker, without promises and without timers: time is looked at when somebody asks.
 *
 * Each state has a generation, and a permit is the generation it was given in: what comes back with
 * another one is from a state that has ended, and is dropped.
 */
export class CircuitCore {
  readonly options: ResolvedCircuitBreakerOptions;
  phase: number = CLOSED;
  generation: Permit = 1;
  observers: Set<CircuitObserver> | undefined = undefined;
  /** Made at the first outcome, so that an idle breaker holds none. */
  #window: OutcomeWindow | undefined = undefined;
  #time: TimeSource | undefined = undefined;
  #failuresInRow = 0;
  /** Openings since it was last closed. */
  #openings = 0;
  #openUntilMs: Milliseconds = 0;
  /** There while it is half-open. */
  #round: ProbeRound | undefined = undefined;
  #isolations = 0;
  /** What to go on with when the last isolation ends. */
  #beneath = CLOSED;
  #successesTotal = 0;
  #failuresTotal = 0;
  #ignoredTotal = 0;
  #rejectedTotal = 0;
  #staleTotal = 0;
  #openedTotal = 0;

  constructor(options: ResolvedCircuitBreakerOptions) {
    this.options = options;
  }

  tryEnter(): Permit {
    return this.phase === CLOSED ? this.generation : this.#enterSlowly();
  }

  recordSuccess(permit: Permit, durationMs: Milliseconds): void {
    if (permit !== this.generation) {
      this.#staleTotal++;
      return;
    }
    this.#successesTotal++;
    this.#record(durationMs >= this.options.slowCallMs ? SLOW : SUCCESS);
  }

  recordFailure(permit: Permit, durationMs: Milliseconds): void {
    if (permit !== this.generation) {
      this.#staleTotal++;
      return;
    }
    this.#failuresTotal++;
    this.#record(durationMs >= this.options.slowCallMs ? FAILURE | SLOW : FAILURE);
  }

  release(permit: Permit): void {
    if (permit !== this.generation) {
      this.#staleTotal++;
      return;
    }
    this.#ignoredTotal++;
    this.#round?.release();
  }

  /** Whether a call would be refused at this moment; counts it as refused when so. */
  isRefusing(): boolean {
    if (this.phase === CLOSED) return false;
    this.refresh();
    if (this.phase === CLOSED || this.#probeIsFree()) return false;
    this.#reject();
    return true;
  }

  /** Moves on by time alone: from open to half-open, and from half-open with hung probes to open. */
  refresh(): void {
    if (this.phase === OPEN) {
      if (this.now() >= this.#openUntilMs) this.#enterHalfOpen();
    } else if (this.#round?.isHung(this.now())) {
      this.#open('probes-hung');
    }
  }

  get state(): CircuitState {
    this.refresh();
    return STATES[this.phase] as CircuitState;
  }

  get retryAfterMs(): Milliseconds | undefined {
    this.refresh();
    if (this.phase === CLOSED) return 0;
    if (this.phase === OPEN) return this.#openUntilMs - this.now();
    if (this.#probeIsFree()) return 0;
    return undefined;
  }

  now(): Milliseconds {
    this.#time ??= timeSource(this.options.clock);
    return this.#time.now();
  }

  refusal(): CircuitBreakerError {
    return refusalIn(this.state, this.options.name, this.retryAfterMs);
  }

  isolate(): () => void {
    if (this.#isolations++ === 0 && this.phase !== SHUT) {
      // A half-open round can't be taken up again: its probes will have come back by then.
      this.#beneath = this.phase === HALF_OPEN ? OPEN : this.phase;
      if (this.phase === HALF_OPEN) this.#openUntilMs = this.now();
      this.#moveTo(ISOLATED, 'isolated');
    }
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (--this.#isolations === 0 && this.phase === ISOLATED) this.#moveTo(this.#beneath, 'released');
    };
  }

  trip(): void {
    if (this.phase === SHUT) return;
    if (this.options.metricsOnly) this.#wouldOpen();
    else this.#open('forced');
  }

  reset(): void {
    if (this.phase !== SHUT) this.#close('forced');
  }

  shut(): void {
    if (this.phase !== SHUT) this.#moveTo(SHUT, 'closed');
  }

  exportState(): CircuitSnapshot {
    this.refresh();
    const phase = this.phase === ISOLATED ? this.#beneath : this.phase;
    const open = phase === OPEN || phase === HALF_OPEN;
    return {
      version: 1,
      state: open ? 'open' : 'closed',
      remainingMs: phase === OPEN ? Math.max(0, this.#openUntilMs - this.now()) : 0,
      openings: this.#openings,
      takenAt: this.options.clock.wallTime(),
    };
  }

  importState(given: unknown): void {
    const snapshot = readSnapshot(given);
    if (this.phase === SHUT) return;
    if (snapshot.state === 'closed' || this.options.metricsOnly) {
      this.#close('imported');
      return;
    }
    // A wall clock that went back must not keep it open for longer than was left.
    const passedMs = Math.max(0, this.options.clock.wallTime() - snapshot.takenAt);
    const remainingMs = Math.min(this.options.maxOpenMs, Math.max(0, snapshot.remainingMs - passedMs));
    this.#openings = snapshot.openings;
    this.#openFor(remainingMs, 'imported');
  }

  stats(): CircuitBreakerStats {
    const state = this.state;
    if (this.phase === CLOSED) this.#window?.expire(this.now());
    const { calls, failures, slow } = this.#tally;
    return {
      kind: 'circuit-breaker',
      name: this.options.name,
      state,
      retryAfterMs: this.retryAfterMs,
      calls,
      failures,
      slow,
      failureRatio: calls === 0 ? 0 : failures / calls,
      probesInFlight: this.#round?.inFlight ?? 0,
      successesTotal: this.#successesTotal,
      failuresTotal: this.#failuresTotal,
      ignoredTotal: this.#ignoredTotal,
      rejectedTotal: this.#rejectedTotal,
      staleTotal: this.#staleTotal,
      openedTotal: this.#openedTotal,
    };
  }

  #enterSlowly(): Permit {
    this.refresh();
    if (this.phase === CLOSED) return this.generation;
    if (this.#round?.isFree(this.options.probes)) {
      this.#round.enter(this.now(), this.options.halfOpenMs);
      return this.generation;
    }
    this.#reject();
    return 0;
  }

  #reject(): void {
    this.#rejectedTotal++;
    if (rejectedEvents.hasSubscribers) {
      const { code } = this.refusal();
      const { name } = this.options;
      const retryAfterMs = this.retryAfterMs;
      rejectedEvents.publish({ kind: 'circuit-breaker', name, code, key: undefined, retryAfterMs });
    }
  }

  #probeIsFree(): boolean {
    return this.#round?.isFree(this.options.probes) === true;
  }

  /** What has been counted in the present state. */
  get #tally(): Counted {
    const { calls, failures, slow } = this.#round ?? this.#window ?? NOTHING;
    return { calls, failures, slow };
  }

  #record(bits: number): void {
    if (this.phase === CLOSED) this.#recordClosed(bits);
    else if (this.#round !== undefined) this.#recordProbe(this.#round, bits);
  }

  #recordClosed(bits: number): void {
    const { options } = this;
    const window = this.#window ?? this.#makeWindow();
    // The count window ignores the time, and time is what costs most here.
    window.record(bits, options.windowCalls > 0 ? 0 : this.now());
    if (bits & FAILURE) this.#failuresInRow++;
    else this.#failuresInRow = 0;
    if (window.failures === 0 && window.slow === 0) return;
    if (!mustOpen(options, window, this.#failuresInRow)) return;
    if (options.metricsOnly) this.#wouldOpen();
    else this.#open('tripped');
  }

  /** All that opening means in metrics-only mode. */
  #wouldOpen(): void {
    const counted = this.#tally;
    this.#forgetOutcomes();
    this.#openedTotal++;
    this.#publish(CLOSED, OPEN, 'would-open', counted);
  }

  #recordProbe(round: ProbeRound, bits: number): void {
    round.record(bits);
    if (round.calls < this.options.probes) return;
    if (roundFailed(this.options, round)) this.#open('probes-failed');
    else this.#close('recovered');
  }

  #open(reason: string): void {
    const lengthMs = openLengthMs(this.options, reason === 'forced' ? 0 : this.#openings);
    this.#openings++;
    this.#openFor(lengthMs, reason);
  }

  #openFor(lengthMs: Milliseconds, reason: string): void {
    this.#openUntilMs = this.now() + lengthMs;
    this.#openedTotal++;
    this.#moveTo(OPEN, reason);
  }

  #close(reason: string): void {
    this.#openings = 0;
    this.#moveTo(CLOSED, reason);
  }

  #enterHalfOpen(): void {
    this.#moveTo(HALF_OPEN, 'tried-again');
  }

  #moveTo(phase: number, reason: string): void {
    if (this.#isolations > 0 && phase !== ISOLATED && phase !== SHUT) {
      this.#beneath = phase;
      return;
    }
    const from = this.phase;
    const counted = circuitStateEvents.hasSubscribers ? this.#tally : NOTHING;
    this.phase = phase;
    const generation = ++this.generation;
    this.#forgetOutcomes();
    this.#round = phase === HALF_OPEN ? new ProbeRound() : undefined;
    // Told last: whoever listens may move the breaker on, and the newest state is the last that anybody is told.
    this.#publish(from, phase, reason, counted);
    for (const observer of this.observers ?? []) {
      if (this.generation !== generation) return;
      observer.onState(STATES[phase] as CircuitState);
    }
  }

  #forgetOutcomes(): void {
    this.#window?.clear();
    this.#failuresInRow = 0;
  }

  #publish(from: number, to: number, reason: string, { calls, failures, slow }: Counted): void {
    if (!circuitStateEvents.hasSubscribers) return;
    const event: CircuitStateEvent = {
      name: this.options.name,
      from: STATES[from] as CircuitState,
      to: STATES[to] as CircuitState,
      reason,
      calls,
      failures,
      slow,
      retryAfterMs: to === CLOSED ? 0 : to === OPEN ? Math.max(0, this.#openUntilMs - this.now()) : undefined,
    };
    circuitStateEvents.publish(event);
  }

  #makeWindow(): OutcomeWindow {
    const { windowCalls, windowMs, windowBuckets } = this.options;
    this.#window =
      windowCalls > 0 ? new CountWindow(windowCalls) : new TimeWindow(windowMs, windowBuckets, this.now());
    return this.#window;
  }
}
