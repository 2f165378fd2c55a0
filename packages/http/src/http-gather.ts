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
import { PacedItems } from './internal/paced-items.ts';
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
  readonly as?: As | undefined;
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

/** Nobody sees it: the results of such requests were given out before. */
const GIVEN_UP = new Error('the gather is over');
const SLASH = 47;

/** One gather's way to its client: paces the items and remembers how long each was queued. */
class RequestGather {
  readonly #engine: Engine;
  readonly #owner: string;
  readonly #kind: 'response' | 'json';
  readonly #gate: GatherGate;
  readonly #queued = new Map<number, Milliseconds>();
  readonly #endsTogether: boolean;

  /** `endsTogether`: no item is given up before all are, which `giveUp` does then. */
  constructor(
    engine: Engine,
    owner: string,
    kind: 'response' | 'json',
    places: number,
    endsTogether: boolean,
  ) {
    if (kind !== 'response' && kind !== 'json') {
      throw new TypeError(`${owner}: option 'as' must be 'response' or 'json', got ${describe(kind)}`);
    }
    this.#engine = engine;
    this.#owner = owner;
    this.#kind = kind;
    this.#gate = new GatherGate(places, engine.options.maxQueued, engine.clock);
    this.#endsTogether = endsTogether;
  }

  pace(items: GatherItems<Item>): AsyncIterable<Item> {
    return new PacedItems(items, this.#gate);
  }

  readonly work = (item: Item, context: GatherContext): Promise<never> => {
    const key = laneOf(item);
    const observer: CallObserver = { attempts: 1, queuedMs: 0, group: this };
    this.#gate.begin(key);
    const end = (): void => {
      context.attempts = Math.max(1, observer.attempts);
      if (observer.queuedMs > 0) this.#queued.set(context.index, observer.queuedMs);
      this.#gate.end(key);
    };
    return this.#engine.send(this.#owner, this.#kind, item, this.#signalOf(item, context), observer).then(
      (value) => {
        end();
        return value as never;
      },
      (error) => {
        end();
        throw error;
      },
    );
  };

  /** Ends the requests that are still under way. */
  giveUp(): void {
    this.#engine.calls.giveUp(this, GIVEN_UP);
  }

  withQueued<Value>(result: GatherResult<Value>): HttpGatherResult<Value> {
    const queuedMs = this.#queued.get(result.index) ?? 0;
    this.#queued.delete(result.index);
    return { ...result, queuedMs };
  }

  // A signal and its listener cost a quarter of a request. Who shares an exchange is in no list of calls.
  #signalOf(item: Item, context: GatherContext): AbortSignal | undefined {
    const sharesExchange =
      this.#engine.options.coalesce || (typeof item !== 'string' && item?.coalesce === true);
    return this.#endsTogether && !sharesExchange ? undefined : context.signal;
  }
}

// Items without an origin of their own share the client's.
function laneOf(item: Item): string {
  const url = typeof item === 'string' ? item : item?.url;
  if (url instanceof URL) return url.origin;
  if (typeof url !== 'string' || url.charCodeAt(0) === SLASH || !isAbsolute(url)) return '';
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
  const isSettled = options.mode === undefined || options.mode === 'settled';
  const run = new RequestGather(
    engine,
    'gather',
    as,
    options.concurrency ?? connections,
    isSettled && options.itemTimeoutMs === undefined,
  );
  // A number that the caller gives is meant to the letter; else the gate decides.
  const concurrency = options.concurrency ?? connections + maxQueued;
  try {
    const limits = { clock: engine.clock, ...options, concurrency };
    const outcome = await gather(run.pace(requests), run.work, limits);
    return isSettled ? (outcome as GatherResult<never>[]).map((result) => run.withQueued(result)) : outcome;
  } finally {
    run.giveUp();
  }
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
  const run = new RequestGather(engine, 'gatherStream', as, concurrency, false);
  const results = gatherStream(run.pace(requests), run.work, {
    clock: engine.clock,
    ...options,
    concurrency,
  });
  for await (const result of results) yield run.withQueued(result);
}
