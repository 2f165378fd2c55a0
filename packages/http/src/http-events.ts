import { type Milliseconds, optionReader, sleep } from '@hotpath/core';
import { HttpCorruptError, type HttpErrorDetails, HttpTimeoutError } from './errors.ts';
import type { BodyStream } from './internal/body-stream.ts';
import type { Engine } from './internal/engine.ts';
import { EventParser, EventTooLarge, type ServerEvent } from './internal/event-parser.ts';
import { ClientClosed, toFailure } from './internal/failure.ts';
import { isHeaderValue } from './internal/headers.ts';
import type { Operation } from './internal/operation.ts';
import type { HttpRequest } from './request.ts';
import type { HttpResponseHeaders } from './response.ts';

const STREAM: Operation = { name: 'stream', kind: 'stream', method: 'GET' };
const EVENTS: Operation = { name: 'events', kind: 'events', method: 'GET' };

/** A server that asks for more is asked again all the same. */
const LONGEST_RECONNECT_MS = 300_000;

/** How `events` reads. */
export interface HttpEventsOptions {
  /** Connects anew, with `Last-Event-ID`, when the stream ends or breaks. Only for GET. Default `false`. */
  readonly reconnect?: boolean | undefined;
  /** How often in a row without an event in between, from 0, before it ends, or throws the last error. Default 10. */
  readonly maxReconnects?: number | undefined;
  /** Milliseconds between connections, from 0, unless the server says otherwise; for 300,000 at most. Default 1,000. */
  readonly reconnectMs?: Milliseconds | undefined;
  /**
   * Milliseconds, from 1, without a byte (comments count) while the reader waits, after which the connection is
   * taken for dead. Default: none.
   */
  readonly idleTimeoutMs?: Milliseconds | undefined;
  /** The largest event to accept, in bytes from 1; a character beyond ASCII counts as one. Default 1 MiB. */
  readonly maxEventBytes?: number | undefined;
}

/** An answer whose body arrives piece by piece. */
export interface HttpStream {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  /** To be iterated once. Leaving the loop early closes the exchange. Reading slowly slows the server. */
  readonly body: AsyncIterable<Buffer>;
}

interface OpenStream extends HttpStream {
  readonly body: BodyStream;
}

interface ResolvedEventsOptions {
  readonly reconnect: boolean;
  readonly maxReconnects: number;
  readonly reconnectMs: Milliseconds;
  readonly idleTimeoutMs: Milliseconds;
  readonly maxEventBytes: number;
}

function resolveEventsOptions(options: HttpEventsOptions | undefined): ResolvedEventsOptions {
  const read = optionReader('events', options);
  const resolved = {
    reconnect: read.boolean('reconnect', false),
    maxReconnects: read.integer('maxReconnects', 10, { min: 0 }),
    reconnectMs: read.number('reconnectMs', 1_000, { min: 0 }),
    idleTimeoutMs: read.number('idleTimeoutMs', Number.POSITIVE_INFINITY, { min: 1 }),
    maxEventBytes: read.integer('maxEventBytes', 1024 * 1024, { min: 1 }),
  };
  read.end();
  return resolved;
}

/** `client.stream`. */
export function openStream(engine: Engine, request: HttpRequest | string): Promise<HttpStream> {
  return engine.send(STREAM, request) as Promise<OpenStream>;
}

/** `client.events`. */
export async function* readEvents(
  engine: Engine,
  given: HttpRequest | string,
  options?: HttpEventsOptions,
): AsyncGenerator<ServerEvent, void, void> {
  const resolved = resolveEventsOptions(options);
  const request = typeof given === 'string' ? { url: given } : given;
  if (resolved.reconnect && String(request?.method ?? 'GET').toUpperCase() !== 'GET') {
    throw new TypeError("events: option 'reconnect' is only for GET: nothing else may be sent again unasked");
  }
  let lastEventId = '';
  let pauseMs = resolved.reconnectMs;
  let failures = 0;
  for (;;) {
    const parser = new EventParser(resolved.maxEventBytes, lastEventId);
    let failure: unknown;
    let details: HttpErrorDetails | undefined;
    try {
      const stream = await open(lastEventId);
      details = stream.body.details;
      if (stream.status === 204) return;
      for await (const event of parse(stream, parser)) {
        failures = 0;
        yield event;
      }
    } catch (error) {
      failure = error;
    }
    lastEventId = parser.lastEventId;
    if (!resolved.reconnect || !isWorthAnotherTry(failure) || ++failures > resolved.maxReconnects) {
      if (failure === undefined) return;
      throw failure;
    }
    pauseMs = Math.min(parser.retryMs ?? pauseMs, LONGEST_RECONNECT_MS);
    await pause(pauseMs, details ?? (failure as HttpErrorDetails));
  }

  /** Ends with the reader's signal, or with the client. */
  async function pause(forMs: Milliseconds, details: HttpErrorDetails): Promise<void> {
    const { signal } = request;
    const { closeSignal, clock } = engine;
    const either = signal === undefined ? closeSignal : AbortSignal.any([signal, closeSignal]);
    try {
      await sleep(forMs, { signal: either, clock });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw toFailure(new ClientClosed('the client is closed'), details).error;
    }
  }

  async function open(after: string): Promise<OpenStream> {
    // As UTF-8, which is how the standard has it sent; an id that no header can carry is left out.
    const id = Buffer.from(after).toString('latin1');
    const isSendable = id !== '' && isHeaderValue(id);
    const headers = isSendable ? { ...request.headers, 'last-event-id': id } : undefined;
    const stream = (await engine.send(
      EVENTS,
      headers === undefined ? request : { ...request, headers },
    )) as OpenStream;
    const type = String(stream.headers['content-type'] ?? '');
    if (stream.status === 204 || /^text\/event-stream\s*(;|$)/i.test(type)) return stream;
    await stream.body.return();
    throw new HttpCorruptError(
      'HOTPATH_HTTP_BAD_BODY',
      `the body is not an event stream but '${type.slice(0, 100)}'`,
      stream.body.details!,
    );
  }

  async function* parse({ body }: OpenStream, parser: EventParser): AsyncGenerator<ServerEvent, void, void> {
    const details = body.details!;
    const { idleTimeoutMs } = resolved;
    const onIdle = (): void => {
      const message = `not a byte within ${idleTimeoutMs} ms`;
      body.end({ error: new HttpTimeoutError('HOTPATH_HTTP_ATTEMPT_TIMEOUT', message, details) }, true);
    };
    for (;;) {
      const timer =
        idleTimeoutMs === Number.POSITIVE_INFINITY
          ? undefined
          : engine.clock.setTimeout(onIdle, idleTimeoutMs);
      let finished = false;
      try {
        const { done, value } = await body.next();
        // How long the reader takes over its events says nothing about the server.
        engine.clock.clearTimeout(timer);
        if (done) {
          finished = true;
          return;
        }
        yield* parser.push(value);
        finished = true;
      } catch (error) {
        if (!(error instanceof EventTooLarge)) throw error;
        throw new HttpCorruptError('HOTPATH_HTTP_TOO_LARGE', error.message, details);
      } finally {
        engine.clock.clearTimeout(timer);
        // The reader has left, or failed: so has the exchange.
        if (!finished) await body.return();
      }
    }
  }
}

function isWorthAnotherTry(failure: unknown): boolean {
  if (failure === undefined) return true;
  const { family } = (failure ?? {}) as { family?: unknown };
  return family === 'unavailable' || family === 'timeout';
}
