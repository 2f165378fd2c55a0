import type { Dispatcher } from 'undici';
import type { HttpErrorDetails } from '../errors.ts';

const NOTHING: IteratorResult<Buffer, undefined> = { done: true, value: undefined };
// Above this the socket is no longer read.
const HIGH_WATER_BYTES = 64 * 1024;

/**
 * A body as it arrives: chunks to iterate once, read from the socket only as fast as they are taken.
 *
 * Leaving the loop early gives the exchange up, and with it its connection.
 */
export class BodyStream implements AsyncIterableIterator<Buffer, undefined> {
  /** What an error of whoever reads it says of its request; set by whoever hands it on. */
  details: HttpErrorDetails | undefined;
  readonly #controller: Dispatcher.DispatchController;
  readonly #cancel: () => void;
  #chunks: Buffer[] = [];
  #held = 0;
  #paused = false;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #taker:
    | { resolve: (result: IteratorResult<Buffer, undefined>) => void; reject: (error: unknown) => void }
    | undefined;

  constructor(controller: Dispatcher.DispatchController, cancel: () => void) {
    this.#controller = controller;
    this.#cancel = cancel;
  }

  push(chunk: Buffer): void {
    if (this.#ended) return;
    const taker = this.#taker;
    if (taker !== undefined) {
      this.#taker = undefined;
      taker.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held >= HIGH_WATER_BYTES && !this.#paused) {
      this.#paused = true;
      this.#controller.pause();
    }
  }

  /** No more comes; `cancel`: because the rest is not wanted. */
  end(failure?: { readonly error: unknown }, cancel: boolean = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    if (cancel) this.#cancel();
    const taker = this.#taker;
    if (taker === undefined) return;
    this.#taker = undefined;
    if (failure === undefined) taker.resolve(NOTHING);
    else taker.reject(this.#takeFailure());
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#held -= chunk.length;
      if (this.#paused && this.#held < HIGH_WATER_BYTES / 2) {
        this.#paused = false;
        this.#controller.resume();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#failure !== undefined) return Promise.reject(this.#takeFailure());
    if (this.#ended) return Promise.resolve(NOTHING);
    if (this.#taker !== undefined) return Promise.reject(new TypeError('the body is being read already'));
    return new Promise((resolve, reject) => {
      this.#taker = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#chunks = [];
    this.end(undefined, true);
    return Promise.resolve(NOTHING);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #takeFailure(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure?.error;
  }
}
