import { hash } from 'node:crypto';
import type { Milliseconds } from '@hotpath/core';
import { Histogram, type LatencySummary } from '../histogram.ts';

/** What is known of one query text, values apart. */
export class QueryShape {
  readonly text: string;
  /** Whether the text may hold more than one statement; such a text can't be prepared. */
  readonly multiple: boolean;
  uses = 0;
  calls = 0;
  rows = 0;
  errors = 0;
  readonly latency: Histogram = new Histogram();
  /** Of the last sampled plan. */
  planHash: string | undefined;
  #name: string | undefined;
  #looksLikeRows: boolean | undefined;

  constructor(text: string) {
    this.text = text;
    // A semicolon in a literal counts too: the simple protocol is never wrong, only slower.
    this.multiple = /;\s*[^\s;]/.test(text);
  }

  /** The name under which it is prepared: of the same length for any text, the same in every process. */
  get name(): string {
    this.#name ??= `hp_${hash('sha256', this.text).slice(0, 24)}`;
    return this.#name;
  }

  /** Whether it starts as a statement that reads; a function that it calls may still write. */
  get looksReadOnly(): boolean {
    return /^\s*(?:select|values|table|with)\b/i.test(this.text);
  }

  /** Whether it is a statement that reads or writes rows, and so worth preparing. */
  get looksLikeRows(): boolean {
    this.#looksLikeRows ??= /^\s*(?:select|values|table|with|insert|update|delete|merge)\b/i.test(this.text);
    return this.#looksLikeRows;
  }

  record(durationMs: Milliseconds, rows: number): void {
    this.calls++;
    this.rows += rows;
    this.latency.record(durationMs);
  }
}

/** What one query text did. */
export interface QueryShapeStats {
  readonly text: string;
  readonly calls: number;
  readonly rows: number;
  readonly errors: number;
  readonly latency: LatencySummary;
}

/**
 * The query texts of late: at least the last `capacity / 2` different ones, at most `capacity`.
 *
 * Kept in two halves, so that a look-up moves nothing: when the young half is full the old one is dropped.
 */
export class QueryShapes {
  readonly #half: number;
  #young = new Map<string, QueryShape>();
  #old = new Map<string, QueryShape>();

  constructor(capacity: number) {
    this.#half = Math.max(1, capacity >>> 1);
  }

  get(text: string): QueryShape {
    const young = this.#young.get(text);
    if (young !== undefined) return young;
    const shape = this.#old.get(text) ?? new QueryShape(text);
    this.#old.delete(text);
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, shape);
    return shape;
  }

  stats(): QueryShapeStats[] {
    return [...this.#young.values(), ...this.#old.values()].map(({ text, calls, rows, errors, latency }) => ({
      text,
      calls,
      rows,
      errors,
      latency: latency.summary(),
    }));
  }
}
