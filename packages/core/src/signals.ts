import { type Clock, type Milliseconds, systemClock, type TimerHandle } from './clock.ts';
import { TimeoutError } from './errors.ts';
import { checkMs, checkSignal } from './internal/wait-arguments.ts';

/** A signal that is tied to others for a while; dispose of it when the work is done. */
export interface LinkedSignal extends Disposable {
  /** Aborts with the first source's reason, or with a {@link TimeoutError} when the time is over. */
  readonly signal: AbortSignal;
  /** Unties it: removes its listeners and its timer. The signal then stays as it is. */
  [Symbol.dispose](): void;
}

/** What {@link linkSignals} takes. */
export interface LinkSignalsOptions {
  /** Signals to follow; absent ones are passed over. */
  readonly signals?: readonly (AbortSignal | undefined)[] | undefined;
  /** Milliseconds from now after which it aborts; absent means never. */
  readonly timeoutMs?: Milliseconds | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Makes one signal that aborts as soon as one of several does, or when a time is over.
 *
 * Unlike `AbortSignal.any` and `AbortSignal.timeout` it leaves nothing behind: after disposal no
 * listener stays on a long-lived source, and no timer keeps running.
 *
 * The reason is the source's own, untouched; for the time it is a TimeoutError (HOTPATH_DEADLINE).
 *
 * @example
 * const linked = linkSignals({ signals: [request.signal], timeoutMs: 500 });
 * try {
 *   use(await load(1, { signal: linked.signal }));
 * } finally {
 *   linked[Symbol.dispose]();
 * }
 *
 * @throws TypeError when a signal or the time is none; nothing is tied then.
 */
export function linkSignals({
  signals = [],
  timeoutMs,
  clock = systemClock,
}: LinkSignalsOptions): LinkedSignal {
  for (const source of signals) checkSignal('linkSignals', source);
  if (timeoutMs !== undefined) checkMs('linkSignals', 'timeoutMs', timeoutMs);
  const controller = new AbortController();
  const followed: [AbortSignal, () => void][] = [];
  let timer: TimerHandle | undefined;
  const dispose = (): void => {
    for (const [source, listener] of followed) source.removeEventListener('abort', listener);
    followed.length = 0;
    clock.clearTimeout(timer);
    timer = undefined;
  };
  const abort = (reason: unknown): void => {
    dispose();
    controller.abort(reason);
  };
  for (const source of signals) {
    if (source === undefined) continue;
    if (source.aborted) {
      abort(source.reason);
      return { signal: controller.signal, [Symbol.dispose]: dispose };
    }
    const listener = (): void => abort(source.reason);
    source.addEventListener('abort', listener, { once: true });
    followed.push([source, listener]);
  }
  if (timeoutMs !== undefined) {
    timer = clock.setTimeout(() => abort(deadlineError(timeoutMs)), timeoutMs);
  }
  return { signal: controller.signal, [Symbol.dispose]: dispose };
}

/** The error for a time that is over. */
export function deadlineError(timeoutMs: Milliseconds): TimeoutError<'HOTPATH_DEADLINE'> {
  return new TimeoutError('HOTPATH_DEADLINE', `not done within ${timeoutMs} ms`);
}

/**
 * Settles as `promise` does, or rejects with the signal's reason as soon as it aborts.
 *
 * The work behind the promise goes on; its late result is dropped and its late rejection is handled.
 * No listener stays on the signal.
 *
 * @example
 * use(await abortable(load(1), request.signal));
 *
 * @throws The signal's reason, untouched.
 * @throws TypeError when the signal is none.
 */
export function abortable<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return Promise.resolve(promise);
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted !== false) {
      // It rejects for this reason, whatever becomes of the promise.
      Promise.resolve(promise).catch(() => {});
      checkSignal('abortable', signal);
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    // A foreign promise's then() may throw; a native one is passed through as it is.
    Promise.resolve(promise).then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

/** What {@link sleep} takes. */
export interface SleepOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Resolves after `delayMs`, or rejects as soon as the signal aborts; what is not above 0 is over at once.
 *
 * @example
 * await sleep(20, { signal: request.signal });
 *
 * @throws The signal's reason, untouched.
 * @throws TypeError when `delayMs` is no number, or the signal is none.
 */
export function sleep(
  delayMs: Milliseconds,
  { signal, clock = systemClock }: SleepOptions = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    checkMs('sleep', 'delayMs', delayMs);
    checkSignal('sleep', signal);
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clock.clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
