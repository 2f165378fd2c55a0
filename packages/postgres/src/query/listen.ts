import {
  type Clock,
  type EventChannel,
  eventChannel,
  type Milliseconds,
  type RandomSource,
  sleep,
} from '@hotpath/core';
import { DirectSession } from '../direct-session.ts';
import { poolClosed } from '../errors.ts';
import { quoteName } from '../identifiers.ts';
import { Backoff } from '../pool/backoff.ts';

/** Something was notified. */
export interface Notification {
  readonly channel: string;
  readonly payload: string;
  /** The process id of the session that notified. */
  readonly processID: number;
}

/** Notifications may have been missed, because the connection was lost; it is subscribed again now. */
export interface ListenGap {
  readonly channels: readonly string[];
  readonly lostMs: Milliseconds;
}

/** What `listen` takes besides the channel. */
export interface ListenOptions {
  readonly onNotification: (notification: Notification) => void;
  /** Called after each time that the connection was lost and the channel subscribed again. */
  readonly onGap?: (gap: ListenGap) => void;
}

/** A channel that is listened to. */
export interface Subscription extends AsyncDisposable {
  readonly channel: string;
  close(): Promise<void>;
}

export const listenGapChannel: EventChannel<ListenGap> = eventChannel('postgres', 'listen-gap');

const HEARTBEAT_MS = 5_000;
const HEARTBEAT_TIMEOUT_MS = 5_000;
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 1_000;

interface ListenerSettings {
  readonly config: object;
  readonly connectTimeoutMs: Milliseconds;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** Listens on one session of its own to all channels; comes back after every loss, and says what was lost. */
export class Listener {
  readonly #settings: ListenerSettings;
  readonly #subscribers = new Map<string, Set<ListenOptions>>();
  readonly #closed = new AbortController();
  #session: Promise<DirectSession> | undefined;

  constructor(settings: ListenerSettings) {
    this.#settings = settings;
  }

  /** Resolves when the channel is subscribed. @throws UnavailableError (HOTPATH_PG_DOWN) when there is no connection at first. */
  async listen(channel: string, options: ListenOptions): Promise<Subscription> {
    if (this.#closed.signal.aborted) throw poolClosed();
    let subscribers = this.#subscribers.get(channel);
    const isNew = subscribers === undefined;
    if (subscribers === undefined) {
      subscribers = new Set();
      this.#subscribers.set(channel, subscribers);
    }
    subscribers.add(options);
    try {
      const session = await this.#connected();
      if (isNew) await session.run(`listen ${quoteName(channel)}`);
    } catch (error) {
      this.#remove(channel, options);
      throw error;
    }
    const close = async (): Promise<void> => {
      if (!this.#remove(channel, options) || this.#session === undefined) return;
      if (this.#subscribers.size === 0) return this.#hangUp();
      const session = await this.#session.catch(() => undefined);
      if (session !== undefined && !session.lost)
        await session.run(`unlisten ${quoteName(channel)}`).catch(() => {});
    };
    return { channel, close, [Symbol.asyncDispose]: close };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#subscribers.clear();
    await this.#hangUp();
  }

  async #hangUp(): Promise<void> {
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    await session?.close();
  }

  /** Returns whether the channel has no subscriber left. */
  #remove(channel: string, options: ListenOptions): boolean {
    const subscribers = this.#subscribers.get(channel);
    if (subscribers === undefined || !subscribers.delete(options) || subscribers.size > 0) return false;
    return this.#subscribers.delete(channel);
  }

  #connected(): Promise<DirectSession> {
    if (this.#session === undefined) {
      this.#session = this.#open();
      this.#session.catch(() => {
        this.#session = undefined;
      });
    }
    return this.#session;
  }

  async #open(): Promise<DirectSession> {
    const { config, connectTimeoutMs, clock } = this.#settings;
    const session = await DirectSession.open(config, connectTimeoutMs, clock);
    session.client.on('notification', (message: { channel: string; payload?: string; processId: number }) => {
      const notification = {
        channel: message.channel,
        payload: message.payload ?? '',
        processID: message.processId,
      };
      for (const { onNotification } of this.#subscribers.get(message.channel) ?? [])
        onNotification(notification);
    });
    const alive = new AbortController();
    session.onLost(() => {
      alive.abort();
      const isWanted = this.#subscribers.size > 0 && !this.#closed.signal.aborted;
      if (isWanted && this.#session !== undefined) void this.#comeBack(clock.now());
    });
    void this.#heartbeat(session, alive.signal);
    return session;
  }

  /** A connection may die without a word: one that is only listened to would never notice. */
  async #heartbeat(session: DirectSession, signal: AbortSignal): Promise<void> {
    const { clock } = this.#settings;
    try {
      for (;;) {
        await sleep(HEARTBEAT_MS, { signal, clock });
        await session.run('select 1', [], { timeoutMs: HEARTBEAT_TIMEOUT_MS });
      }
    } catch {
      session.destroy();
    }
  }

  async #comeBack(lostAtMs: Milliseconds): Promise<void> {
    const { clock, random } = this.#settings;
    const backoff = new Backoff(FIRST_DELAY_MS, LONGEST_DELAY_MS, random);
    while (!this.#closed.signal.aborted && this.#subscribers.size > 0) {
      const opening = this.#open();
      this.#session = opening;
      try {
        const session = await opening;
        const channels = [...this.#subscribers.keys()];
        await session.run(channels.map((channel) => `listen ${quoteName(channel)}`).join('; '));
        const gap = { channels, lostMs: clock.now() - lostAtMs };
        if (listenGapChannel.hasSubscribers) listenGapChannel.publish(gap);
        for (const subscribers of this.#subscribers.values())
          for (const { onGap } of subscribers) onGap?.(gap);
        return;
      } catch {
        await sleep(backoff.next(), { signal: this.#closed.signal, clock }).catch(() => {});
      }
    }
  }
}
