import { type Milliseconds, WheelTimer } from '@hotpath/core';
import type { HttpErrorDetails } from '../errors.ts';
import { requestChannel } from '../telemetry.ts';
import { isWhole, takeAnswer } from './answer.ts';
import { Attempt, type AttemptOwner } from './attempt.ts';
import type { BaseUrl } from './base-urls.ts';
import type { BodyStream } from './body-stream.ts';
import { circuitOpen, clientClosed, encodedStream, queueFull, rateLimited, timedOut } from './call-errors.ts';
import type { CallSpec, CallTarget } from './call-spec.ts';
import { CallbackTimer } from './callback-timer.ts';
import type { CallObserver, Engine } from './engine.ts';
import { discardBody, type WireBody } from './exchange.ts';
import { toFailure } from './failure.ts';
import { armHedge, dropRival, isWorthTaking } from './hedging.ts';
import type { Origin, Verdict } from './origin.ts';
import type { OriginLimiter } from './origin-limiter.ts';
import type { RedirectedRequest } from './redirect-step.ts';
import { isIdempotent, isReplayable, replay } from './replay.ts';
import { publishRequest } from './request-event.ts';
import { retryOrFail } from './retrying.ts';
import { joinPath, redactUrl } from './target.ts';

/**
 * One request of a caller, from queue to body, through all its tries; as a timer, it is its own deadline.
 *
 * It settles exactly once, and at once: when the deadline, the caller's signal or the client's end
 * comes first, whatever is under way is given up behind the caller's back.
 */
export class Call extends WheelTimer implements AttemptOwner {
  /** Its neighbours in the {@link CallList}. */
  _nextCall: Call | undefined = undefined;
  _previousCall: Call | undefined = undefined;
  method: string;
  headers: string[];
  body: WireBody;
  isIdempotent: boolean;
  isReplayable: boolean;
  origin: Origin;
  path: string;
  readonly priority: number;
  readonly maxResponseBytes: number;
  readonly maxStreamBytes: number;
  readonly attemptTimeoutMs: Milliseconds;
  readonly target: CallTarget;
  readonly spec: CallSpec;
  readonly engine: Engine;
  /** The try under way, or the last one. */
  attempt: Attempt | undefined;
  /** A second try beside it. */
  rival: Attempt | undefined;
  attempts = 0;
  redirects = 0;
  /** How often it was sent again without counting a try. */
  resends = 0;
  /** Whether that was because a reused connection had died; it may be once. */
  isReplayed = false;
  queuedMs: Milliseconds = 0;
  deadlineMs: Milliseconds = Number.POSITIVE_INFINITY;
  /** The next try's place in the budget of the origin; 0 while there is none. */
  reservation = 0;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #observer: CallObserver | undefined;
  startedMs: Milliseconds = 0;
  #base: BaseUrl | undefined;
  #timer: CallbackTimer | undefined;
  #stream: BodyStream | undefined;
  #leaveLimit: AbortController | undefined;
  #settled = false;

  constructor(
    engine: Engine,
    target: CallTarget,
    spec: CallSpec,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    observer: CallObserver | undefined,
  ) {
    super();
    this.#observer = observer;
    this.engine = engine;
    this.spec = spec;
    this.method = spec.method;
    this.headers = spec.headers;
    this.body = spec.body;
    this.isIdempotent = spec.isIdempotent;
    this.isReplayable = spec.isReplayable;
    this.target = target;
    this.origin = target.origin;
    this.path = target.path;
    this.priority = spec.priority;
    this.maxResponseBytes = spec.maxResponseBytes;
    this.maxStreamBytes = spec.maxStreamBytes;
    this.attemptTimeoutMs = spec.attemptTimeoutMs;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** What it is given up with, besides by itself. */
  get group(): object | undefined {
    return this.#observer?.group;
  }

  /** It has ended, whatever may still be under way. */
  get isSettled(): boolean {
    return this.#settled;
  }

  start(): void {
    const { signal, timeoutMs } = this.spec;
    const { clock, wheel, calls } = this.engine;
    if (this.engine.isClosed) {
      this.#refuse(clientClosed(this));
      return;
    }
    if (signal !== undefined) {
      if (signal.aborted) {
        this.#refuse(signal.reason);
        return;
      }
      signal.addEventListener('abort', this);
    }
    this.startedMs = clock.now();
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      this.deadlineMs = this.startedMs + timeoutMs;
      wheel.arm(this, timeoutMs);
    }
    calls.add(this);
    this.origin.active++;
    this.#pickBase();
    this.origin.budget.recordCall();
    this.#admit(this.startedMs);
  }

  /** The caller's signal has aborted. */
  handleEvent(): void {
    this.fail(this.spec.signal?.reason);
  }

  override onDue(): void {
    this.fail(timedOut(this), 'failure');
  }

  /** Moves the deadline further out; an earlier one is left alone. */
  extend(deadlineMs: Milliseconds): void {
    if (this.#settled || deadlineMs <= this.deadlineMs) return;
    this.deadlineMs = deadlineMs;
    this.engine.wheel.disarm(this);
    if (deadlineMs !== Number.POSITIVE_INFINITY) {
      this.engine.wheel.arm(this, deadlineMs - this.engine.clock.now());
    }
  }

  /** The client is being closed. */
  close(): void {
    this.fail(clientClosed(this));
  }

  /** Begins the next try. */
  next(): void {
    this.reservation = 0;
    this.#pickBase();
    this.#admit(this.engine.clock.now());
  }

  #pickBase(): void {
    const { bases } = this.target;
    if (bases === undefined || this.redirects > 0) return;
    // A request must not count against the server that it is on its way to leave.
    this.origin.active--;
    this.#base = bases.pick(this.#base);
    this.origin = this.#base.origin;
    this.origin.active++;
    this.path = joinPath(this.#base.path, this.target.path);
  }

  #admit(nowMs: Milliseconds): void {
    const { limiter } = this.origin;
    const limitMs = limiter === undefined ? 0 : limiter.tryTake();
    if (limitMs > 0) this.#waitForLimit(limiter!, limitMs);
    else this.#begin(nowMs);
  }

  #begin(nowMs: Milliseconds): void {
    const { origin } = this;
    this.attempts++;
    const permit = origin.breaker === undefined ? 1 : origin.breaker.tryEnter();
    if (permit === 0) {
      this.attempt = undefined;
      this.fail(circuitOpen(this));
      return;
    }
    const attempt = new Attempt(this, this.engine, permit, nowMs);
    this.attempt = attempt;
    if (!attempt.start()) {
      attempt.cancel();
      this.conclude(attempt, 'ignored');
      this.fail(queueFull(this.details()));
    } else if (this.spec.hedge !== undefined && !this.#settled) {
      armHedge(this);
    }
  }

  onConnected(attempt: Attempt): boolean {
    this.queuedMs += attempt.queuedMs;
    if (!attempt.target.isRefusing) return true;
    attempt.cancel();
    if (this.rival !== undefined && !isWorthTaking(this, attempt, 'ignored')) return false;
    this.conclude(attempt, 'ignored');
    if (this.#base === undefined) this.fail(circuitOpen(this));
    else {
      // Another server may take it.
      this.attempts--;
      this.next();
    }
    return false;
  }

  wantsStream(attempt: Attempt): boolean {
    if (this.spec.decode !== undefined) return false;
    try {
      return isWhole(this, attempt);
    } catch (error) {
      // The caller's own `acceptStatus` has thrown.
      this.fail(error);
      return false;
    }
  }

  onStream(attempt: Attempt, body: BodyStream): void {
    dropRival(this, attempt);
    this.#stream = body;
    body.details = this.details(attempt);
    const encoding = attempt.responseHeaders['content-encoding'];
    if (encoding !== undefined && !this.#takesEncoded && !/^identity$/i.test(String(encoding))) {
      this.fail(encodedStream(this, encoding));
      return;
    }
    if (this.spec.deadlineEndsAtHead) this.engine.wheel.disarm(this);
    this.#resolve({ status: attempt.status, headers: attempt.responseHeaders, body });
  }

  onStreamEnd(attempt: Attempt, raw: unknown): void {
    const failure = raw === undefined ? undefined : toFailure(raw, this.details());
    this.conclude(attempt, failure?.countsAgainstOrigin ? 'failure' : 'success');
    if (this.#settled) return;
    this.#settle(failure?.error);
    this.#stream?.end(failure === undefined ? undefined : { error: failure.error });
  }

  onResponse(attempt: Attempt): void {
    const { status } = attempt;
    const verdict = status < 500 ? 'success' : 'failure';
    if (this.rival !== undefined && !isWorthTaking(this, attempt, verdict)) return;
    this.conclude(attempt, verdict);
    try {
      takeAnswer(this, attempt);
    } catch (error) {
      // As above.
      this.fail(error);
    }
  }

  onFailure(attempt: Attempt, raw: unknown): void {
    if (replay(this, attempt, raw)) return;
    const failure = toFailure(raw, this.details(attempt));
    const verdict = failure.countsAgainstOrigin ? 'failure' : 'ignored';
    if (this.rival !== undefined && !isWorthTaking(this, attempt, verdict)) return;
    this.conclude(attempt, verdict);
    retryOrFail(this, failure.error, failure.isTransient, undefined);
  }

  /** Goes elsewhere, as a redirect asks. */
  redirect(origin: Origin, { url, method, headers, body }: RedirectedRequest): void {
    this.redirects++;
    this.#aimAt(origin);
    this.#base = undefined;
    this.path = url.pathname + url.search;
    this.method = method;
    this.headers = headers;
    this.body = body;
    this.isIdempotent = isIdempotent(method, headers);
    this.isReplayable = isReplayable(body);
    this.attempts = 0;
    this.isReplayed = false;
    origin.budget.recordCall();
    this.#admit(this.engine.clock.now());
  }

  succeed(value: unknown): void {
    if (this.#settled) return;
    this.#settle(undefined);
    this.#resolve(value);
  }

  /** Ends it, unless it has ended. What is under way is given up, and counts as `verdict`. */
  fail(error: unknown, verdict: Verdict = 'ignored'): void {
    if (this.#settled) return;
    this.#settle(error);
    const reason = error instanceof Error ? error : new Error('aborted', { cause: error });
    for (const attempt of [this.attempt, this.rival]) {
      if (attempt === undefined || attempt.isDone) continue;
      // To have waited in our own queue says nothing about the server.
      this.conclude(attempt, attempt.phase === 'queue' && !attempt.isConnecting ? 'ignored' : verdict);
      attempt.cancel(reason);
    }
    this.#stream?.end({ error });
    // Of what was on its way the connection has taken care.
    if (!this.isReplayable) discardBody(this.body);
    this.#reject(error);
  }

  details(attempt: Attempt | undefined = this.attempt): HttpErrorDetails {
    const status = attempt?.status ?? 0;
    return {
      method: this.method,
      url: redactUrl(this.origin.key + this.path),
      attempt: this.attempts,
      phase: attempt === undefined ? 'queue' : attempt.isConnecting ? 'connect' : attempt.phase,
      status: status === 0 ? undefined : status,
    };
  }

  /** Ends what was not begun. */
  #refuse(error: unknown): void {
    this.#settled = true;
    if (!this.isReplayable) discardBody(this.body);
    this.#reject(error);
  }

  /** Whether a body that streams may be encoded; events have to be read here. */
  get #takesEncoded(): boolean {
    return !this.engine.options.decompress && !this.spec.deadlineEndsAtHead;
  }

  #aimAt(origin: Origin): void {
    if (origin === this.origin) return;
    this.origin.active--;
    this.origin = origin;
    origin.active++;
  }

  #waitForLimit(limiter: OriginLimiter, limitMs: Milliseconds): void {
    const leftMs = this.deadlineMs - this.engine.clock.now();
    if (limitMs >= leftMs) {
      this.fail(rateLimited(this, limitMs, undefined));
      return;
    }
    const leave = new AbortController();
    this.#leaveLimit = leave;
    limiter.take(this.priority, leftMs, leave.signal).then(
      () => {
        if (!this.#settled) this.#begin(this.engine.clock.now());
      },
      (error) => this.fail(rateLimited(this, limitMs, error)),
    );
  }

  /** Calls `then` in a while, unless the request is over by then; of several, the last one. */
  pause(pauseMs: Milliseconds, then: () => void): void {
    if (this.#timer !== undefined) this.engine.wheel.disarm(this.#timer);
    this.#timer = new CallbackTimer(then);
    this.engine.wheel.arm(this.#timer, pauseMs);
  }

  /** Gives a try's permit back, once, and counts it. */
  conclude(attempt: Attempt, verdict: Verdict): void {
    if (attempt.isConcluded) return;
    attempt.isConcluded = true;
    const durationMs = this.engine.clock.now() - attempt.startedMs - attempt.queuedMs;
    if (verdict === 'success') attempt.target.latency.record(durationMs);
    attempt.target.conclude(attempt, verdict, durationMs);
    if (this.#base !== undefined && verdict !== 'ignored') {
      this.target.bases?.onOutcome(this.#base, verdict === 'failure');
    }
  }

  #settle(error: unknown): void {
    const { wheel, calls } = this.engine;
    this.#settled = true;
    wheel.disarm(this);
    if (this.#timer !== undefined) wheel.disarm(this.#timer);
    this.#leaveLimit?.abort();
    if (this.reservation !== 0) this.origin.budget.release(this.reservation);
    calls.delete(this);
    if (calls.size === 0) this.engine.onCallsDone?.();
    this.origin.active--;
    if (this.#observer !== undefined) {
      this.#observer.attempts = this.attempts;
      this.#observer.queuedMs = this.queuedMs;
      this.#observer = undefined;
    }
    this.spec.signal?.removeEventListener('abort', this);
    if (requestChannel.hasSubscribers) publishRequest(this, error);
  }
}
