import type { Clock, Milliseconds } from '@hotpath/core';
import { connectTimeout, poolClosed, queryTimeout, serverDown, typedQueryError } from './errors.ts';
import { downHint } from './postgres-options.ts';
import { sendCancelRequest } from './wire/cancel-request.ts';
import { StatementExchange } from './wire/statement-exchange.ts';
import { SyncExchange } from './wire/sync-exchange.ts';
import { WireClient } from './wire/wire-client.ts';

const CANCEL_GRACE_MS = 5_000;

interface SessionOptions {
  readonly timeoutMs?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Whether more than one statement in the text is refused. Default: only where there are values. */
  readonly isOne?: boolean | undefined;
}

/** One session of its own, outside any pool: for what belongs to a session, or must not be shared. */
export class DirectSession implements AsyncDisposable {
  readonly client: WireClient;
  /** For statements that are given no time of their own; absent means without end. */
  timeoutMs: Milliseconds | undefined;
  readonly #clock: Clock;
  #lost: Error | undefined;
  #onLost: ((error: Error) => void) | undefined;

  private constructor(config: object, clock: Clock) {
    this.client = new WireClient(config);
    this.#clock = clock;
    const lose = (error: Error): void => {
      if (this.#lost !== undefined) return;
      this.#lost = error;
      this.#onLost?.(error);
    };
    this.client.on('error', lose);
    this.client.on('end', () => lose(new Error('Connection terminated')));
  }

  /**
   * @param owner Aborted when whoever asks for the session is closed; the attempt ends then.
   * @throws UnavailableError (HOTPATH_PG_DOWN), TimeoutError (HOTPATH_PG_CONNECT_TIMEOUT), AbortedError (HOTPATH_PG_CLOSED).
   */
  static open(
    config: object,
    timeoutMs: Milliseconds,
    clock: Clock,
    owner: AbortSignal,
  ): Promise<DirectSession> {
    return new Promise((resolve, reject) => {
      if (owner.aborted) return reject(poolClosed());
      let session: DirectSession;
      try {
        session = new DirectSession(config, clock);
      } catch (error) {
        return reject(serverDown(error, undefined));
      }
      const end = (): void => {
        clock.clearTimeout(timer);
        owner.removeEventListener('abort', onClosed);
      };
      const giveUp = (error: Error): void => {
        end();
        session.destroy();
        reject(error);
      };
      const onClosed = (): void => giveUp(poolClosed());
      const timer = clock.setTimeout(() => giveUp(connectTimeout(timeoutMs)), timeoutMs);
      owner.addEventListener('abort', onClosed, { once: true });
      session.client.connect((error) => {
        if (error) return giveUp(serverDown(error, undefined, downHint(config)));
        end();
        resolve(session);
      });
    });
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Calls back once, when the session is gone. */
  onLost(callback: (error: Error) => void): void {
    this.#onLost = callback;
    if (this.#lost !== undefined) callback(this.#lost);
  }

  /**
   * Runs one statement, or several without values. When its time is over or the signal aborts it is
   * cancelled, and settles when the server has answered, or after 5 s more.
   */
  run(
    text: string,
    values: readonly unknown[] = [],
    { timeoutMs = this.timeoutMs, signal, isOne = values.length > 0 }: SessionOptions = {},
  ): Promise<StatementExchange> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const clock = this.#clock;
      let reason: unknown;
      let cancelled: Promise<void> | undefined;
      let last: ReturnType<Clock['setTimeout']> | undefined;
      const cancel = (why: unknown): void => {
        if (reason !== undefined) return;
        reason = why;
        last = clock.setTimeout(() => this.destroy(), CANCEL_GRACE_MS);
        cancelled = sendCancelRequest(this.client, CANCEL_GRACE_MS);
      };
      const timer = timeoutMs
        ? clock.setTimeout(() => cancel(queryTimeout(timeoutMs)), timeoutMs)
        : undefined;
      const onAbort = (): void => cancel(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      const end = (settle: () => void): void => {
        clock.clearTimeout(timer);
        clock.clearTimeout(last);
        signal?.removeEventListener('abort', onAbort);
        // A request that is still on its way must not hit the next statement.
        if (cancelled === undefined) settle();
        else void cancelled.then(settle);
      };
      const request = {
        text,
        name: '',
        values,
        types: undefined,
        mode: 'object' as const,
        simple: !isOne,
      };
      this.client.query(
        new StatementExchange(this.client, request, {
          onResult: (exchange) => end(() => resolve(exchange)),
          onFailure: (error) => end(() => reject(reason ?? typedQueryError(error))),
        }),
      );
    });
  }

  /** Asks for a sign of life. @throws TimeoutError (HOTPATH_PG_QUERY_TIMEOUT) when none came in time. */
  ping(timeoutMs: Milliseconds): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimeout(() => reject(queryTimeout(timeoutMs)), timeoutMs);
      const exchange = new SyncExchange(this.client, (error) => {
        this.#clock.clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(typedQueryError(error));
      });
      this.client.query(exchange);
    });
  }

  destroy(): void {
    this.client.connection.stream.destroy();
  }

  /** Ends the session; a server that does not answer is left after 1 s. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.client.connection.stream.destroyed) return resolve();
      const timer = this.#clock.setTimeout(() => this.destroy(), 1_000);
      this.client.end(() => {
        this.#clock.clearTimeout(timer);
        resolve();
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
