import { type Clock, type Milliseconds, type TimerHandle, TurnoverMap } from '@hotpath/core';
import { type CircuitBreaker, circuitBreaker } from '@hotpath/resilience';
import type { RedisClient, RedisConnection } from '../redis-port.ts';
import { connectionOverrides, RECONNECT_AFTER_MS } from './connection-overrides.ts';
import type { Counters } from './counters.ts';
import type { Argument, Reply } from './resp.ts';
import { type Script, scripts } from './scripts.ts';
import { Wire } from './wire.ts';

/** `recovering`: it answers, but nothing may be read before what was missed has been made up for. */
export type LinkState = 'down' | 'recovering' | 'up';

/** What a link needs to know of its owner. */
export interface LinkOptions {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly softDeadlineMs: Milliseconds;
  readonly hardDeadlineMs: Milliseconds;
  /** Finds out what was missed; called whenever the connection is back. It rejects when that failed, as the next one does. */
  readonly recover: (link: Link) => Promise<void>;
  /** Repeats the changes that could not be done. */
  readonly repeat: (link: Link) => Promise<void>;
  /** Whether there is none left. */
  readonly isInStep: (link: Link) => boolean;
  readonly onState: (link: Link, reason: string) => void;
  /** Who waits for a read need not wait any longer: an answer is overdue. */
  readonly onSlow: (link: Link) => void;
}

/** The link is down or was lost: never shown to callers. */
export class LinkLost extends Error {}

/** What a timer may be late, which a caller must not wait for as well. */
const TIMER_SLACK_MS = 2;
const PROBE_MS = 100;
const LONGEST_PROBE_MS = 400;

const nobody = (): void => {};

class Operation {
  readonly sentMs: Milliseconds;
  resolve: (reply: unknown) => void;
  reject: (error: Error) => void;
  isOverdue = false;
  timer: TimerHandle | undefined = undefined;
  constructor(sentMs: Milliseconds, resolve: (reply: unknown) => void, reject: (error: Error) => void) {
    this.sentMs = sentMs;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** One connection to one Redis server, with deadlines, a breaker and a way back. */
export class Link {
  readonly connection: RedisConnection;
  readonly #options: LinkOptions;
  readonly #breaker: CircuitBreaker;
  readonly #inFlight = new TurnoverMap<Operation, Operation>();
  /** The connection's socket, once it is ours. */
  #wire: Wire | undefined;
  #state: LinkState = 'down';
  #reason = 'not connected yet';
  #takesChanges = false;
  #overdue = 0;
  #reloads = 0;
  /** The last command that was answered: see `specimen.ts`. */
  specimen: Operation | undefined = undefined;
  #silentSinceMs: Milliseconds;
  #probeTimer: TimerHandle | undefined;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(client: RedisClient, override: object, options: LinkOptions) {
    this.#options = options;
    this.#breaker = circuitBreaker({
      name: 'hotpath-cache',
      consecutiveFailures: 1,
      openMs: PROBE_MS,
      maxOpenMs: LONGEST_PROBE_MS,
      probes: 1,
      clock: options.clock,
    });
    this.#breaker.trip();
    // RESP2 is what a wire understands.
    this.connection = client.duplicate({ ...connectionOverrides('commands'), protocol: 2, ...override });
    this.#silentSinceMs = options.clock.now();
    this.connection.on('error', (error: Error) => {
      if (this.#state !== 'up') this.#reason = error.message;
    });
    this.connection.on('close', () => {
      this.#wire = undefined;
      this.fail('connection closed');
    });
    this.connection.on('end', () => this.fail('connection ended'));
    this.connection.on('ready', () => {
      this.#silentSinceMs = options.clock.now();
      // A new connection is a reason to try at once.
      this.#breaker.reset();
      this.#tryRecovery();
    });
    this.#connect();
    this.#scheduleProbe();
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Why it is in this state. */
  get reason(): string {
    return this.#reason;
  }

  /** Whether it may be asked, and has answered lately. */
  get isReadable(): boolean {
    return this.#state === 'up' && this.#overdue === 0;
  }

  /** Whether a change may be sent: also while those before it are repeated, or with new ones coming all the time none would be the last. */
  get takesChanges(): boolean {
    return this.#takesChanges;
  }

  /** How often the server had forgotten a script: what was sent after the first try may then have been done before it. */
  get reloads(): number {
    return this.#reloads;
  }

  runScript(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.send('EVALSHA', [script.sha, keys.length, ...keys, ...args]).catch(async (error) => {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      this.#reloads++;
      await this.send('SCRIPT', ['LOAD', script.source]);
      return this.send('EVALSHA', [script.sha, keys.length, ...keys, ...args]);
    });
  }

  /** @throws LinkLost when there is no answer in time; the server's own error otherwise. */
  send(command: string, args: readonly Argument[]): Promise<unknown> {
    if (this.#state === 'down') return Promise.reject(new LinkLost('down'));
    return this.#dispatch(command, args);
  }

  #dispatch(command: string, args: readonly Argument[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const operation = this.#begin(resolve, reject);
      const isSent = this.#wire?.send([command, ...args], (reply) => this.#onReply(operation, reply));
      if (isSent !== true) this.#onReply(operation, new LinkLost('the connection is closing'));
    });
  }

  /** Takes the socket over: what ioredis itself has asked is answered before this is. */
  async #takeOver(): Promise<void> {
    await new Promise((resolve, reject) => {
      const operation = this.#begin(resolve, reject);
      this.connection.callBuffer('PING').then(
        (reply) => this.#onReply(operation, reply as Buffer),
        (error: Error) => this.#onReply(operation, error),
      );
    });
    this.#wire = new Wire(this.connection.stream, (error) => this.leave(error.message));
  }

  #begin(resolve: (reply: unknown) => void, reject: (error: Error) => void): Operation {
    const { clock, counters, softDeadlineMs } = this.#options;
    const operation = new Operation(clock.now(), resolve, reject);
    this.#inFlight.set(operation, operation);
    counters.l2Commands++;
    operation.timer = clock.setTimeout(
      () => this.#onLate(operation, false),
      Math.max(softDeadlineMs - TIMER_SLACK_MS, softDeadlineMs / 2),
    );
    return operation;
  }

  #onReply(operation: Operation, reply: Reply | Error): void {
    if (!this.#finish(operation)) return;
    const { clock, counters } = this.#options;
    if (reply instanceof Error) {
      counters.l2Errors++;
      operation.reject(reply);
      this.#onError(reply);
      return;
    }
    const tookMs = clock.now() - operation.sentMs;
    counters.l2LatencyTotalMs += tookMs;
    if (tookMs > counters.l2LatencyMaxMs) counters.l2LatencyMaxMs = tookMs;
    operation.resolve(reply);
    operation.resolve = operation.reject = nobody;
    this.specimen = operation;
  }

  #finish(operation: Operation): boolean {
    this.#silentSinceMs = this.#options.clock.now();
    if (!this.#inFlight.delete(operation)) return false;
    this.#options.clock.clearTimeout(operation.timer);
    if (operation.isOverdue) this.#overdue--;
    if (this.#inFlight.size === 0) this.#onIdle?.();
    return true;
  }

  #onLate(operation: Operation, isHard: boolean): void {
    // The answer may have arrived while this process was busy: let it be read first.
    setImmediate(() => {
      if (!this.#inFlight.has(operation)) return;
      if (isHard) {
        this.fail('no answer in time');
        return;
      }
      const { clock, hardDeadlineMs, onSlow, softDeadlineMs } = this.#options;
      operation.isOverdue = true;
      this.#overdue++;
      operation.timer = clock.setTimeout(
        () => this.#onLate(operation, true),
        hardDeadlineMs - softDeadlineMs,
      );
      onSlow(this);
    });
  }

  #onError(error: Error): void {
    // Demoted to a replica, or asked for what another node has: find the right server again.
    if (/^(READONLY|MASTERDOWN)/.test(error.message)) this.leave(error.message);
    else if (/^(LOADING|MOVED|CLUSTERDOWN)/.test(error.message)) this.fail(error.message);
  }

  /** This server is the wrong one: find the right one. */
  leave(reason: string): void {
    this.fail(reason);
    this.connection.disconnect(true);
  }

  /** Gives up what is under way and stops asking, until a probe has brought it back. */
  fail(reason: string): void {
    const { clock, counters, onState } = this.#options;
    const operations = this.#inFlight.values();
    this.#inFlight.clear();
    this.#onIdle?.();
    this.#overdue = 0;
    const former = this.#state;
    const wasDown = former === 'down';
    this.#state = 'down';
    this.#takesChanges = false;
    if (!wasDown) this.#reason = reason;
    for (const operation of operations) {
      clock.clearTimeout(operation.timer);
      counters.l2Errors++;
      operation.reject(new LinkLost(reason));
    }
    if (wasDown || this.#isClosed) return;
    this.#breaker.trip();
    // A probe that failed is no sign of life: else a connection that has died without a word is never replaced.
    if (former === 'up') this.#silentSinceMs = clock.now();
    onState(this, reason);
    this.#scheduleProbe();
  }

  /** What is known of the server's data can't be trusted any more: find out again before anything else. */
  distrust(reason: string): void {
    if (this.#state !== 'up') return;
    this.fail(reason);
    this.#breaker.reset();
    this.#tryRecovery();
  }

  #connect(): void {
    if (this.connection.status === 'wait' || this.connection.status === 'end') {
      this.connection.connect().catch(() => {});
    }
  }

  #scheduleProbe(): void {
    const { clock } = this.#options;
    if (this.#probeTimer !== undefined || this.#isClosed) return;
    this.#probeTimer = clock.setTimeout(() => {
      this.#probeTimer = undefined;
      if (this.#state === 'up' || this.#isClosed) return;
      this.#tryRecovery();
      this.#scheduleProbe();
    }, PROBE_MS);
    this.#probeTimer.unref();
  }

  #tryRecovery(): void {
    if (this.#state !== 'down' || this.#isClosed) return;
    const { isInStep, onState, recover, repeat } = this.#options;
    if (this.connection.status !== 'ready') {
      this.#connect();
      this.#replaceIfSilent();
      return;
    }
    const permit = this.#breaker.tryEnter();
    if (permit === 0) return;
    this.#state = 'recovering';
    const attempt = async (): Promise<void> => {
      if (this.#wire === undefined) await this.#takeOver();
      await Promise.all(Object.values(scripts).map((script) => this.send('SCRIPT', ['LOAD', script.source])));
      await recover(this);
      this.#takesChanges = this.#state === 'recovering';
      // What could not be done must not be overtaken by the first read: nothing may come in between.
      do await repeat(this);
      while (!isInStep(this));
      if (this.#state !== 'recovering') throw new LinkLost('lost while recovering');
      this.#state = 'up';
      this.#reason = 'recovered';
      this.#breaker.recordSuccess(permit);
      onState(this, this.#reason);
    };
    attempt().catch((error: Error) => {
      this.#breaker.recordFailure(permit);
      if (this.#state === 'recovering') this.fail(error.message);
      this.#replaceIfSilent();
      this.#scheduleProbe();
    });
  }

  #replaceIfSilent(): void {
    const { clock } = this.#options;
    const nowMs = clock.now();
    if (nowMs - this.#silentSinceMs < RECONNECT_AFTER_MS) return;
    this.#silentSinceMs = nowMs;
    this.connection.disconnect(true);
  }

  /** Waits for what is under way, within the deadline, and disconnects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#probeTimer);
    if (this.#inFlight.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.fail('closed');
    this.connection.disconnect();
  }
}
