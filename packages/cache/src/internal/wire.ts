import type { Duplex } from 'node:stream';
import { type Argument, encodeCommand, ProtocolError, type Reply, ReplyDecoder } from './resp.ts';

type OnReply = (reply: Reply) => void;

/** So many answers come before those who waited for them are let go of. */
const TURNOVER = 1_024;

/**
 * Commands and their answers over a socket that ioredis has connected, secured and authenticated.
 *
 * ioredis' own way takes about as long to take an answer of many values apart as all the rest of a read; so, once
 * nothing of its own is under way any more, its socket is read and written here. It is still ioredis' to close.
 */
export class Wire {
  readonly #stream: Duplex;
  readonly #onBroken: (error: Error) => void;
  readonly #decoder = new ReplyDecoder((reply) => this.#onReply(reply));
  /** Who waits for an answer, in the order of the commands; those before `#answered` have theirs. */
  #waiting: (OnReply | undefined)[] = [];
  #answered = 0;
  #isBroken = false;

  /** `onBroken` is called once, when what comes is not what was asked for. */
  constructor(stream: Duplex, onBroken: (error: Error) => void) {
    this.#stream = stream;
    this.#onBroken = onBroken;
    const former = stream.listeners('data');
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    for (const listener of former) stream.off('data', listener as () => void);
  }

  /** Sends a command; false when the socket is closed or closing. `onReply` is not called if it closes later. */
  send(args: readonly Argument[], onReply: OnReply): boolean {
    if (this.#isBroken || !this.#stream.writable) return false;
    this.#waiting.push(onReply);
    this.#stream.write(encodeCommand(args));
    return true;
  }

  #onData(chunk: Buffer): void {
    if (this.#isBroken) return;
    try {
      this.#decoder.write(chunk);
    } catch (error) {
      this.#isBroken = true;
      this.#onBroken(error as Error);
    }
  }

  #onReply(reply: Reply): void {
    const onReply = this.#waiting[this.#answered];
    if (onReply === undefined) throw new ProtocolError('an answer that nobody asked for');
    this.#waiting[this.#answered++] = undefined;
    if (this.#answered === this.#waiting.length || this.#answered === TURNOVER) {
      this.#waiting = this.#waiting.slice(this.#answered);
      this.#answered = 0;
    }
    onReply(reply);
  }
}
