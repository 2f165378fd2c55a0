import {
  describe,
  type GatherContext,
  type GatherItems,
  type GatherMode,
  type GatherOptions,
  type GatherResult,
  type GatherStreamOptions,
  gather,
  gatherStream,
  type Milliseconds,
} from '@hotpath/core';
import type { CallObserver, Engine } from './internal/engine.ts';
import { GatherGate } from './internal/gather-gate.ts';
import { isAbsolute } from './internal/target.ts';
import type { HttpRequest } from './request.ts';
import type { HttpResponse } from './response.ts';

/** What became of one request; `queuedMs` is how long it waited for a connection. */
export type HttpGatherResult<Value = HttpResponse> = GatherResult<Value> & {
  readonly queuedMs: Milliseconds;
};

/** What the requests of a gather give: the whole answer, or its body as JSON. */
export interface HttpGatherAs<As extends 'response' | 'json' = 'response' | 'json'> {
  /** Default `response`. */
  readonly as?: As;
}

/** What `gather` takes, besides what core's does. */
export type HttpGatherOptions<
  Mode extends GatherMode = GatherMode,
  As extends 'response' | 'json' = 'response' | 'json',
> = GatherOptions<Mode> & HttpGatherAs<As>;

/** What `gatherStream` takes, besides what core's does. */
export type HttpGatherStreamOptions<As extends 'response' | 'json' = 'response' | 'json'> =
  GatherStreamOptions & HttpGatherAs<As>;

/** What a gather of requests resolves with, by its mode. */
export type HttpGatherOutcome<Mode extends GatherMode, Value> = Mode extends 'settled'
  ? HttpGatherResult<Value>[]
  : Mode extends 'failFast'
    ? Value[]
    : Value;

type Item = HttpRequest | string;

/** One gather's way to its client: paces the items and remembers how long each was queued. */
class RequestGather {
  readonly #engine: Engine;
  readonly #kind: 'response' | 'json';
  readonly #gate: GatherGate;
  readonly #queued = new Map<number, Milliseconds>();

  constructor(engine: Engine, owner: string, kind: 'response' | 'json', places: number) {
    if (kind !== 'response' && kind !== 'json') {
      throw new TypeError(`${owner}: option 'as' must be 'response' or 'json', got ${describe(kind)}`);
    }
    this.#engine = engine;
    this.#kind = kind;
    this.#gate = new GatherGate(places, engine.options.maxQueued, engine.clock);
  }

  pace(items: GatherItems<Item>): AsyncIterable<Item> {
    return this.#gate.pace(items);
  }

  readonly work = async (item: Item, context: GatherContext): Promise<never> => {
    const key = laneOf(item);
    const observer: CallObserver = { attempts: 1, queuedMs: 0 };
    this.#gate.begin(key);
    try {
      return (await this.#engine.send('gather', this.#kind, item, context.signal, observer)) as never;
    } finally {
      context.attempts = Math.max(1, observer.attempts);
      if (observer.queuedMs > 0) this.#queued.set(context.index, observer.queuedMs);
      this.#gate.end(key);
    }
  };

  withQueued<Value>(result: GatherResult<Value>): HttpGatherResult<Value> {
    const queuedMs = this.#queued.get(result.index) ?? 0;
    this.#queued.delete(result.index);
    return { ...result, queuedMs };
  }
}

// Items without an origin of their own share the client's.
function laneOf(item: Item): string {
  const url = typeof item === 'string' ? item : item?.url;
  if (url instanceof URL) return url.origin;
  if (typeof url !== 'string') return '';
  if (!isAbsolute(url)) return '';
  const end = url.indexOf('/', url.indexOf('//') + 2);
  return end === -1 ? url : url.slice(0, end);
}

// A string is iterable too: each of its characters would be a request.
function checkRequests(owner: string, requests: GatherItems<Item>): void {
  if (typeof requests === 'string') {
    throw new TypeError(`${owner}: argument 'requests' must be a list of requests, got a string`);
  }
}

/** `client.gather`. */
export async function gatherRequests(
  engine: Engine,
  requests: GatherItems<Item>,
  { as = 'response', ...options }: HttpGatherOptions = {},
): Promise<unknown> {
  checkRequests('gather', requests);
  const { connections, maxQueued } = engine.options;
  const run = new RequestGather(engine, 'gather', as, options.concurrency ?? connections);
  // A number that the caller gives is meant to the letter; else the gate decides.
  const concurrency = options.concurrency ?? connections + maxQueued;
  const outcome = await gather(run.pace(requests), run.work, {
    clock: engine.clock,
    ...options,
    concurrency,
  });
  if (options.mode !== undefined && options.mode !== 'settled') return outcome;
  return (outcome as GatherResult<never>[]).map((result) => run.withQueued(result));
}

/** `client.gatherStream`. */
export async function* gatherRequestsStream(
  engine: Engine,
  requests: GatherItems<Item>,
  { as = 'response', ...options }: HttpGatherStreamOptions = {},
): AsyncGenerator<HttpGatherResult<never>, void, void> {
  checkRequests('gatherStream', requests);
  // Results that nobody has taken yet hold their places, so that a slow reader slows the input.
  const concurrency = options.concurrency ?? engine.options.connections;
  const run = new RequestGather(engine, 'gatherStream', as, concurrency);
  const results = gatherStream(run.pace(requests), run.work, {
    clock: engine.clock,
    ...options,
    concurrency,
  });
  for await (const result of results) yield run.withQueued(result);
}
