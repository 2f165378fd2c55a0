import {
  abortable,
  type Clock,
  describe,
  type EventChannel,
  eventChannel,
  type Milliseconds,
  optionReader,
  type RandomSource,
  sleep,
} from '@hotpath/core';
import { DirectSession } from '../direct-session.ts';
import { poolClosed } from '../errors.ts';
import { quoteName } from '../identifiers.ts';
import { Backoff } from '../pool/backoff.ts';
import { readSignal } from './time-limit.ts';

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
  /** How long ago the last sign of life came: what was notified since may be missing. */
  readonly lostMs: Milliseconds;
}

/** What `listen` takes besides the channel. */
export interface ListenOptions {
  readonly onNotification: (notification: Notification) => void;
  /** Called after each time that the connection was lost and the channel subscribed again. */
  readonly onGap?: ((gap: ListenGap) => void) | undefined;
  /** Ends it: rejects while it is being subscribed, and closes the subscription after that. */
  readonly signal?: AbortSignal | undefined;
}

/** A channel that is listened to. */
export interface Subscription extends AsyncDisposable {
  readonly channel: string;
  close(): Promise<void>;
}

export const listenGapChannel: EventChannel<ListenGap> = eventChannel('postgres', 'listen-gap');

const LONGEST_NAME_BYTES = 63;
const LIMITS = { timeoutMs: 5_000 };
const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 1_000;

interface ListenerSettings {
  readonly config: object;
  readonly connectTimeoutMs: Milliseconds;
  /** How often a sign of life is asked for, and how long it may take; 0 means never. */
  readonly heartbeatMs: Milliseconds;
  readonly clock: Clock;
  readonly random: RandomSource;
}

/** Who listens to a channel, and whether the server knows yet. */
interface Channel {
  readonly subscribers: Set<ListenOptions>;
  listening: Promise<unknown>;
}

/** Listens on one session of its own to all channels; comes back after every loss, and says what was lost. */
export class Listener {
  readonly #settings: ListenerSettings;
  readonly #channels = new Map<string, Channel>();
  readonly #closed = new AbortController();
  #session: Promise<DirectSession> | undefined;
  /** The session that is to take a lost one's place; what becomes of it is looked after by who opened it. */
  #returning: Promise<DirectSession> | undefined;
  /** When the server was last heard of. */
  #aliveAtMs: Milliseconds = 0;

  constructor(settings: ListenerSettings) {
    this.#settings = settings;
  }

  /** Resolves when the channel is subscribed. @throws UnavailableError (HOTPATH_PG_DOWN) when there is no connection at first. */
  async listen(name: string, options: ListenOptions): Promise<Subscription> {
    if (this.#closed.signal.aborted) throw poolClosed();
    checkChannel(name, options);
    const { signal } = options;
    signal?.throwIfAborted();
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = { subscribers: new Set(), listening: this.#subscribe(name) };
      this.#channels.set(name, channel);
    }
    // An own object, so that the same options can be given twice.
    const subscriber = { ...options };
    channel.subscribers.add(subscriber);
    const close = async (): Promise<void> => {
      signal?.removeEventListener('abort', onAbort);
      if (!this.#remove(name, channel, subscriber) || this.#session === undefined) return;
      if (this.#channels.size === 0) return this.#hangUp();
      const session = await this.#session.catch(() => undefined);
      // Somebody may have come back to it meanwhile.
      if (session === undefined || session.lost || this.#channels.has(name)) return;
      await session.run(`unlisten ${quoteName(name)}`, [], LIMITS).catch(() => {});
    };
    const onAbort = (): void => void close();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await abortable(channel.listening, signal);
    } catch (error) {
      signal?.removeEventListener('abort', onAbort);
      if (this.#remove(name, channel, subscriber) && this.#channels.size === 0) void this.#hangUp();
      throw error;
    }
    return { channel: name, close, [Symbol.asyncDispose]: close };
  }

  async #subscribe(name: string): Promise<void> {
    const session = await this.#connected();
    await session.run(`listen ${quoteName(name)}`, [], LIMITS);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#channels.clear();
    await this.#hangUp();
  }

  /** Whoever subscribes from now on gets another session. */
  async #hangUp(): Promise<void> {
    const opening = this.#session;
    this.#session = undefined;
    const session = await opening?.catch(() => undefined);
    await session?.close();
  }

  /** Returns whether the channel has no subscriber left. */
  #remove(name: string, channel: Channel, subscriber: ListenOptions): boolean {
    const { subscribers } = channel;
    if (!subscribers.delete(subscriber) || subscribers.size > 0) return false;
    return this.#channels.get(name) === channel && this.#channels.delete(name);
  }

  #connected(): Promise<DirectSession> {
    if (this.#session === undefined) {
      const opening = this.#open();
      this.#session = opening;
      opening.catch(() => {
        if (this.#session === opening) this.#session = undefined;
      });
    }
    return this.#session;
  }

  #open(): Promise<DirectSession> {
    const opening = this.#connect(() => {
      const isWanted = this.#session === opening && this.#channels.size > 0;
      if (isWanted && this.#returning !== opening && !this.#closed.signal.aborted) void this.#comeBack();
    });
    return opening;
  }

  async #connect(onLost: () => void): Promise<DirectSession> {
    const { config, connectTimeoutMs, clock } = this.#settings;
    const session = await DirectSession.open(config, connectTimeoutMs, clock, this.#closed.signal);
    this.#aliveAtMs = clock.now();
    session.client.on('notification', (message: { channel: string; payload?: string; processId: number }) => {
      this.#aliveAtMs = clock.now();
      const notification = {
        channel: message.channel,
        payload: message.payload ?? '',
        processID: message.processId,
      };
      for (const { onNotification } of this.#channels.get(message.channel)?.subscribers ?? [])
        callSafely(onNotification, notification);
    });
    const alive = new AbortController();
    session.onLost(() => {
      alive.abort();
      onLost();
    });
    void this.#heartbeat(session, alive.signal);
    return session;
  }

  /** A connection may die without a word: one that is only listened to would never notice. */
  async #heartbeat(session: DirectSession, signal: AbortSignal): Promise<void> {
    const { clock, heartbeatMs } = this.#settings;
    if (heartbeatMs === 0) return;
    try {
      for (;;) {
        await sleep(heartbeatMs, { signal, clock });
        await session.ping(heartbeatMs);
        this.#aliveAtMs = clock.now();
      }
    } catch {
      session.destroy();
    }
  }

  async #comeBack(): Promise<void> {
    const { clock, random } = this.#settings;
    const lostAtMs = this.#aliveAtMs;
    const backoff = new Backoff(FIRST_DELAY_MS, LONGEST_DELAY_MS, random);
    let opening: Promise<DirectSession> | undefined;
    while (!this.#closed.signal.aborted && this.#channels.size > 0) {
      opening = this.#open();
      this.#session = opening;
      this.#returning = opening;
      let session: DirectSession | undefined;
      try {
        session = await opening;
        const channels = [...this.#channels.keys()];
        const texts = channels.map((channel) => `listen ${quoteName(channel)}`);
        await session.run(texts.join('; '), [], LIMITS);
        const gap = { channels, lostMs: clock.now() - lostAtMs };
        if (listenGapChannel.hasSubscribers) listenGapChannel.publish(gap);
        for (const { subscribers } of this.#channels.values())
          for (const { onGap } of subscribers) if (onGap !== undefined) callSafely(onGap, gap);
        if (!session.lost) break;
      } catch {
        session?.destroy();
        await sleep(backoff.next(), { signal: this.#closed.signal, clock }).catch(() => {});
        // Meanwhile all have left, and whoever came after that has a session of their own.
        if (this.#session !== opening) break;
      }
    }
    if (this.#returning === opening) this.#returning = undefined;
  }
}

/** @throws TypeError for what can't be a channel (the server would cut a longer name) or has no callback. */
function checkChannel(name: string, options: ListenOptions): void {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > LONGEST_NAME_BYTES)
    throw new TypeError(
      `listen: a channel's name must have 1 to ${LONGEST_NAME_BYTES} bytes, got ${describe(name)}`,
    );
  const read = optionReader('listen', options);
  if (read.function('onNotification', undefined) === undefined)
    throw new TypeError("listen: option 'onNotification' must be a function, got undefined");
  read.function('onGap', undefined);
  readSignal(read);
  read.end();
}

/** What a listener throws is its own: the bytes that are being read here must be read to their end. */
function callSafely<T>(callback: (value: T) => void, value: T): void {
  try {
    callback(value);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
