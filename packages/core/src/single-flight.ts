import { AbortedError, RejectedError } from './errors.ts';
import { checkSignal } from './internal/wait-arguments.ts';
import { optionReader } from './options.ts';
import { TurnoverMap } from './turnover-map.ts';

/** What the work of a flight is given. */
export interface FlightContext {
  /** Aborts when every waiter has left. Made when first read. */
  readonly signal: AbortSignal;
}

/** What {@link singleFlight} takes. */
export interface SingleFlightOptions {
  /** How many keys may be in flight at once. Default 100,000. */
  readonly maxKeys?: number | undefined;
}

/** What {@link SingleFlight.run} takes besides key and work. */
export interface FlightOptions {
  /** Lets this waiter leave; the others, and the work, go on while one of them stays. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs one piece of work a key at a time, for everybody who asks for it meanwhile. */
export interface SingleFlight<Key, Value> {
  /**
   * Starts `work` for `key`, or joins the flight that is under way; all who joined settle alike.
   *
   * A flight ends when its work settles: the next call starts anew, also after a failure. Work that
   * asks for its own key joins its own flight, and would wait for itself.
   * Cost of joining without a signal: one map look-up; the promise is shared.
   *
   * @throws RejectedError (HOTPATH_FLIGHTS_FULL) when `maxKeys` keys are in flight.
   * @throws The signal's reason, untouched.
   * @throws TypeError when the signal is none; nothing was begun or joined then.
   */
  run(
    key: Key,
    work: (context: FlightContext) => PromiseLike<Value> | Value,
    options?: FlightOptions,
  ): Promise<Value>;
  /** Whether a flight for `key` is under way. */
  has(key: Key): boolean;
  /** Forgets the flight for `key`: those who joined still get its result, the next call starts anew. */
  forget(key: Key): boolean;
  /** How many keys are in flight. */
  readonly size: number;
}

class Flight<Value> implements FlightContext {
  readonly promise: Promise<Value>;
  resolve!: (value: Value) => void;
  reject!: (error: unknown) => void;
  waiters = 0;
  #controller: AbortController | undefined;
  #abandoned: AbortedError | undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abandoned !== undefined) this.#controller.abort(this.#abandoned);
    }
    return this.#controller.signal;
  }

  abandon(): void {
    this.#abandoned = new AbortedError('HOTPATH_FLIGHT_ABANDONED', 'every waiter of this flight has left');
    this.#controller?.abort(this.#abandoned);
  }
}

/**
 * Makes a single-flight group: concurrent calls with one key share one run of the work.
 *
 * @example
 * const users = singleFlight<number, User>();
 * const [ann, same] = await Promise.all([1, 1].map((id) => users.run(id, ({ signal }) => load(id, { signal }))));
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function singleFlight<Key, Value>(options: SingleFlightOptions = {}): SingleFlight<Key, Value> {
  const read = optionReader('singleFlight', options);
  const maxKeys = read.integer('maxKeys', 100_000, { min: 1 });
  read.end();
  const flights = new TurnoverMap<Key, Flight<Value>>();

  function start(
    key: Key,
    flight: Flight<Value>,
    work: (context: FlightContext) => PromiseLike<Value> | Value,
  ): void {
    const end = (): void => {
      // A flight that everybody left may have been replaced by a newer one.
      if (flights.get(key) === flight) flights.delete(key);
    };
    let result: PromiseLike<Value> | Value;
    try {
      result = work(flight);
    } catch (error) {
      end();
      flight.reject(error);
      return;
    }
    Promise.resolve(result).then(
      (value) => {
        end();
        flight.resolve(value);
      },
      (error) => {
        end();
        flight.reject(error);
      },
    );
  }

  function waitWithSignal(key: Key, flight: Flight<Value>, signal: AbortSignal): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason);
        if (--flight.waiters > 0) return;
        if (flights.get(key) === flight) flights.delete(key);
        flight.abandon();
      };
      signal.addEventListener('abort', leave, { once: true });
      flight.promise.then(
        (value) => {
          signal.removeEventListener('abort', leave);
          resolve(value);
        },
        (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      );
    });
  }

  return {
    run(key, work, flightOptions) {
      const signal = flightOptions?.signal;
      if (signal !== undefined) {
        try {
          checkSignal('singleFlight', signal);
        } catch (error) {
          return Promise.reject(error);
        }
        if (signal.aborted) return Promise.reject(signal.reason);
      }
      const joined = flights.get(key);
      if (joined !== undefined) {
        joined.waiters++;
        return signal === undefined ? joined.promise : waitWithSignal(key, joined, signal);
      }
      if (flights.size >= maxKeys) {
        return Promise.reject(
          new RejectedError(
            'HOTPATH_FLIGHTS_FULL',
            `${maxKeys} keys are in flight, the most that are allowed`,
          ),
        );
      }
      const flight = new Flight<Value>();
      flight.waiters = 1;
      flights.set(key, flight);
      const promise = signal === undefined ? flight.promise : waitWithSignal(key, flight, signal);
      // Last, so that a call which the work itself makes at once, or its own abort, finds everything in place.
      start(key, flight, work);
      return promise;
    },
    has: (key) => flights.has(key),
    forget: (key) => flights.delete(key),
    get size() {
      return flights.size;
    },
  };
}
