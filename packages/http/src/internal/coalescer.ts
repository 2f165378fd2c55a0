import { type Milliseconds, WheelTimer } from '@hotpath/core';
import { HttpTimeoutError } from '../errors.ts';
import { HttpResponse } from '../response.ts';
import { Call } from './call.ts';
import type { CallSpec, CallTarget } from './call-spec.ts';
import { asResponse, decodeAnswer, validate } from './decode.ts';
import type { CallObserver, Engine } from './engine.ts';

// They differ from one caller to the next without changing the answer.
const TRACE_HEADERS = new Set(['traceparent', 'tracestate', 'baggage', 'x-request-id', 'x-correlation-id']);

/**
 * What two requests must have in common to share an exchange; `undefined` when this one can't.
 *
 * All headers count, credentials too, but not those of the trace.
 */
export function coalescingKey({ origin, path, bases }: CallTarget, spec: CallSpec): string | undefined {
  const { method, body, decode, acceptStatus, headers, redirect, maxResponseBytes } = spec;
  if (method !== 'GET' || body !== null || decode === undefined || acceptStatus !== undefined)
    return undefined;
  const counted: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!;
    if (!TRACE_HEADERS.has(name)) counted.push(`${name}:${headers[index + 1]}`);
  }
  // Line breaks are in none of the parts.
  const where = bases === undefined ? origin.key : 'any base';
  return [where, path, maxResponseBytes, redirect !== undefined, ...counted.sort()].join('\n');
}

/** One exchange that several callers wait for. */
class Flight {
  readonly call: Call;
  readonly waiters = new Set<FlightWaiter>();
  readonly observer: CallObserver = { attempts: 0, queuedMs: 0, group: undefined };
  readonly #leave = new AbortController();

  constructor(engine: Engine, target: CallTarget, spec: CallSpec, onEnd: () => void) {
    const shared: CallSpec = {
      ...spec,
      signal: this.#leave.signal,
      decode: asResponse,
      schema: undefined,
    };
    this.call = new Call(
      engine,
      target,
      shared,
      (value) => {
        onEnd();
        for (const waiter of [...this.waiters]) waiter.receive(value as HttpResponse);
      },
      (error) => {
        onEnd();
        for (const waiter of [...this.waiters]) waiter.fail(error);
      },
      this.observer,
    );
  }

  leave(waiter: FlightWaiter): void {
    this.waiters.delete(waiter);
    if (this.waiters.size === 0) this.#leave.abort(new Error('nobody waits any more'));
  }
}

/** One of those callers, with a deadline and a signal of its own. */
class FlightWaiter extends WheelTimer {
  readonly #engine: Engine;
  readonly #flight: Flight;
  readonly #spec: CallSpec;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #observer: CallObserver | undefined;

  constructor(
    engine: Engine,
    flight: Flight,
    spec: CallSpec,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    observer: CallObserver | undefined,
  ) {
    super();
    this.#engine = engine;
    this.#flight = flight;
    this.#spec = spec;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#observer = observer;
    flight.waiters.add(this);
    spec.signal?.addEventListener('abort', this);
    if (spec.timeoutMs !== Number.POSITIVE_INFINITY) engine.wheel.arm(this, spec.timeoutMs);
  }

  handleEvent(): void {
    this.fail(this.#spec.signal?.reason);
  }

  override onDue(): void {
    const message = `not done within ${this.#spec.timeoutMs} ms`;
    this.fail(new HttpTimeoutError('HOTPATH_HTTP_TIMEOUT', message, this.#flight.call.details()));
  }

  receive({ status, headers, bytes, attempts }: HttpResponse): void {
    this.#end();
    // Each has a copy: what one does to its answer must not show in another's.
    const own = new HttpResponse(status, { ...headers }, Buffer.from(bytes), attempts);
    try {
      const value = decodeAnswer(this.#spec, own, this.#flight.call.details());
      if (this.#spec.schema === undefined) this.#resolve(value);
      else validate(this.#spec.schema, value, this.#flight.call.details()).then(this.#resolve, this.#reject);
    } catch (error) {
      this.#reject(error);
    }
  }

  fail(error: unknown): void {
    this.#end();
    this.#flight.leave(this);
    this.#reject(error);
  }

  #end(): void {
    this.#engine.wheel.disarm(this);
    this.#spec.signal?.removeEventListener('abort', this);
    if (this.#observer === undefined) return;
    this.#observer.attempts = this.#flight.call.attempts;
    this.#observer.queuedMs = this.#flight.observer.queuedMs;
  }
}

/** Lets identical GETs that are in flight at the same time share one exchange. */
export class Coalescer {
  readonly #engine: Engine;
  readonly #flights = new Map<string, Flight>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  join(
    key: string,
    target: CallTarget,
    spec: CallSpec,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    observer: CallObserver | undefined,
  ): void {
    if (spec.signal?.aborted) {
      reject(spec.signal.reason);
      return;
    }
    let flight = this.#flights.get(key);
    // A flight that everybody left is over, though its call may not have ended.
    if (flight?.waiters.size === 0) flight = undefined;
    const deadlineMs: Milliseconds = this.#engine.clock.now() + spec.timeoutMs;
    if (flight !== undefined) {
      flight.call.extend(deadlineMs);
      new FlightWaiter(this.#engine, flight, spec, resolve, reject, observer);
      return;
    }
    const started: Flight = new Flight(this.#engine, target, spec, () => {
      if (this.#flights.get(key) === started) this.#flights.delete(key);
    });
    this.#flights.set(key, started);
    new FlightWaiter(this.#engine, started, spec, resolve, reject, observer);
    started.call.start();
  }
}
