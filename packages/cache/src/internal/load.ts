import type { Milliseconds } from '@hotpath/core';
import type { LoadContext } from '../types.ts';
import { checkTags, checkTtl } from './checks.ts';
import type { ResolvedEntryOptions } from './lifetime.ts';

/** How a value is made. */
export interface Load {
  readonly options: ResolvedEntryOptions;
  readonly tags: () => readonly string[];
  run(context: LoadContext): unknown;
}

/** What a load says of its value, and hears of its callers. */
export class Context implements LoadContext {
  ttlMs: Milliseconds | undefined;
  tags: string[] = [];
  isSkipped = false;
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  setTtl(ttlMs: Milliseconds): void {
    checkTtl('setTtl', ttlMs);
    this.ttlMs = ttlMs;
  }

  addTags(...tags: readonly string[]): void {
    this.tags.push(...checkTags('addTags', tags));
  }

  skip(): void {
    this.isSkipped = true;
  }
}
