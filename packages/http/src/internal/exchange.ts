import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

/** A request body as undici takes it. */
export type WireBody = string | Buffer | Uint8Array | Readable | AsyncIterable<Uint8Array> | Blob | null;

/** Lets go of a body that nobody will send: what it holds open is closed. */
export function discardBody(body: WireBody): void {
  if (body instanceof Readable) body.destroy();
  // One that is being read is left to whoever reads it.
  else if (body instanceof ReadableStream) body.cancel().catch(() => {});
}

/**
 * One request on one connection: undici's dispatch options and its handler in one object.
 *
 * Whoever carries it calls the handler's methods in undici's order: `onRequestStart` when it is
 * written, `onResponseStarted` at the first byte of the answer, and exactly one of `onResponseEnd`
 * and `onResponseError` last. The latter without `onRequestStart` means that nothing was written.
 */
export interface Exchange
  extends Required<Pick<Dispatcher.DispatchHandler, 'onResponseEnd' | 'onResponseError'>> {
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  /** Name, value, name, value …; names in lower case. */
  readonly headers: string[];
  readonly body: WireBody;
  readonly reset: boolean | undefined;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  onRequestStart(controller: Dispatcher.DispatchController): void;
  onResponseStarted(): void;
  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void;
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void;
}
