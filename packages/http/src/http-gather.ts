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
  optionReader,
} from '@hotpath/core';
import type { CallObserver, Engine } from './internal/engine.ts';
import { GatherGate } from './internal/gather-gate.ts';
import type { Operation } from './internal/operation.ts';
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

interface RequestGatherOptions {
  readonly operation: Operation;
  readonly places: number;
  /** No item is given up before all are, which `giveUp` does then. */
  readonly endsTogether: boolean;
}

/** One gather's way to its client: paces the items and remembers how long each was queued. */
class RequestGather {
  readonly #engine: Engine;
  readonly #operation: Operation;
  readonly #gate: GatherGate;
  readonly #queued = new Map<number, Milliseconds>();
  readonly #endsTogether: boolean;

  constructor(engine: Engine, { operation, places, endsTogether }: RequestGatherOptions) {
    this.#engine = engine;
    this.#operation = operation;
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
    return this.#engine.send(this.#operation, item, this.#signalOf(item, context), observer).then(
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

/** @throws TypeError naming the argument that is wrong. */
function checkedOperation(name: string, requests: unknown, as: unknown = 'response'): Operation {
  // A string is iterable too: each of its characters would be a request.
  const isList =
    typeof requests === 'object' &&
    requests !== null &&
    (Symbol.asyncIterator in requests || Symbol.iterator in requests);
  if (!isList) {
    throw new TypeError(`${name}: argument 'requests' must be a list of requests, got ${describe(requests)}`);
  }
  if (as !== 'response' && as !== 'json') {
    throw new TypeError(`${name}: option 'as' must be 'response' or 'json', got ${describe(as)}`);
  }
  return { name, kind: as, method: 'GET' };
}

/** @throws TypeError when options are given that are none. */
function checkedOptions<Options extends object>(name: string, given: Options | undefined): Partial<Options> {
  optionReader(name, given);
  return given ?? {};
}

/** `client.gather`. */
export async function gatherRequests(
  engine: Engine,
  requests: GatherItems<Item>,
  given?: HttpGatherOptions,
): Promise<unknown> {
  const { as, ...options } = checkedOptions('gather', given);
  const operation = checkedOperation('gather', requests, as);
  const { connections, maxQueued } = engine.options;
  const isSettled = options.mode === undefined || options.mode === 'settled';
  const run = new RequestGather(engine, {
    operation,
    places: options.concurrency ?? connections,
    endsTogether: isSettled && options.itemTimeoutMs === undefined,
  });
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
  given?: HttpGatherStreamOptions,
): AsyncGenerator<HttpGatherResult<never>, void, void> {
  const { as, ...options } = checkedOptions('gatherStream', given);
  const operation = checkedOperation('gatherStream', requests, as);
  // Results that nobody has taken yet hold their places, so that a slow reader slows the input.
  const concurrency = options.concurrency ?? engine.options.connections;
  const run = new RequestGather(engine, { operation, places: concurrency, endsTogether: false });
  const results = gatherStream(run.pace(requests), run.work, {
    clock: engine.clock,
    ...options,
    concurrency,
  });
  for await (const result of results) yield run.withQueued(result);
}
