import { type EventChannel, eventChannel, type Milliseconds } from '@hotpath/core';
import type { ResolvedNPlusOneOptions } from '../postgres-options.ts';
import type { Executor, QueryObserver } from './executor.ts';
import { type Explanation, explain } from './explain.ts';
import type { QueryShape } from './query-shape.ts';

/** A query took at least `slowQueryMs`. */
export interface SlowQueryEvent {
  readonly text: string;
  readonly durationMs: Milliseconds;
  /** Present when it was in the sample of those that are explained. */
  readonly explanation?: Explanation | undefined;
}

/** A query text has a plan of another shape than when it was last explained. */
export interface PlanChangeEvent {
  readonly text: string;
  readonly previousHash: string;
  readonly planHash: string;
}

/** A call site ran the same query again and again. */
export interface NPlusOneEvent {
  readonly text: string;
  readonly site: string;
  readonly count: number;
  readonly withinMs: Milliseconds;
}

export const slowQueryChannel: EventChannel<SlowQueryEvent> = eventChannel('postgres', 'slow-query');
export const planChangeChannel: EventChannel<PlanChangeEvent> = eventChannel('postgres', 'plan-change');
export const nPlusOneChannel: EventChannel<NPlusOneEvent> = eventChannel('postgres', 'n-plus-one');

/** Publishes slow queries, and explains some of them by running them once more, one at a time. */
export class SlowQueryWatch implements QueryObserver {
  /** One that is not watched itself. */
  readonly #executor: Executor;
  readonly #slowMs: Milliseconds;
  readonly #sampleRatio: number;
  #explaining = false;

  constructor(executor: Executor, slowMs: Milliseconds, sampleRatio: number) {
    this.#executor = executor;
    this.#slowMs = slowMs;
    this.#sampleRatio = sampleRatio;
  }

  onQuery(shape: QueryShape, values: readonly unknown[], durationMs: Milliseconds): void {
    if (durationMs < this.#slowMs) return;
    const { text } = shape;
    const { random } = this.#executor.pool.options;
    const isSampled =
      this.#sampleRatio > 0 && shape.looksReadOnly && !this.#explaining && random() < this.#sampleRatio;
    if (isSampled) void this.#explain(shape, values, durationMs);
    else if (slowQueryChannel.hasSubscribers) slowQueryChannel.publish({ text, durationMs });
  }

  async #explain(shape: QueryShape, values: readonly unknown[], durationMs: Milliseconds): Promise<void> {
    const { text } = shape;
    this.#explaining = true;
    try {
      const explanation = await explain(this.#executor, text, values);
      if (slowQueryChannel.hasSubscribers) slowQueryChannel.publish({ text, durationMs, explanation });
      const previousHash = shape.planHash;
      shape.planHash = explanation.planHash;
      if (
        previousHash !== undefined &&
        previousHash !== explanation.planHash &&
        planChangeChannel.hasSubscribers
      ) {
        planChangeChannel.publish({ text, previousHash, planHash: explanation.planHash });
      }
    } catch {
      if (slowQueryChannel.hasSubscribers) slowQueryChannel.publish({ text, durationMs });
    } finally {
      this.#explaining = false;
    }
  }
}

const MOST_SITES = 1_000;
const ownFrame =
  /[\\/](?:packages[\\/]postgres[\\/](?:src|dist)|@hotpath[\\/]postgres|node_modules|node:internal)[\\/]|node:internal/;

/** Counts runs of one query text by one call site; for development, since it makes a stack for each query. */
export class NPlusOneDetector {
  readonly #options: ResolvedNPlusOneOptions;
  readonly #now: () => Milliseconds;
  readonly #seen = new Map<string, { count: number; sinceMs: Milliseconds; reported: boolean }>();

  constructor(options: ResolvedNPlusOneOptions, now: () => Milliseconds) {
    this.#options = options;
    this.#now = now;
  }

  note(text: string): void {
    const site = siteOf(stackOf());
    const key = `${site}\n${text}`;
    const now = this.#now();
    const { threshold, windowMs } = this.#options;
    let seen = this.#seen.get(key);
    if (seen === undefined || now - seen.sinceMs > windowMs) {
      seen = { count: 0, sinceMs: now, reported: false };
      if (this.#seen.size >= MOST_SITES) this.#seen.clear();
      this.#seen.set(key, seen);
    }
    seen.count++;
    if (seen.count < threshold || seen.reported) return;
    seen.reported = true;
    if (nPlusOneChannel.hasSubscribers) {
      nPlusOneChannel.publish({ text, site, count: seen.count, withinMs: now - seen.sinceMs });
    }
  }
}

/** Deep enough for a query builder's own frames. */
const FRAMES = 60;

function stackOf(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const { stack } = new Error();
  Error.stackTraceLimit = limit;
  return stack;
}

function siteOf(stack: string | undefined): string {
  const frames = (stack ?? '').split('\n').slice(2);
  return (frames.find((frame) => /\.[cm]?[jt]sx?:/.test(frame) && !ownFrame.test(frame)) ?? 'unknown').trim();
}
