// Compiled only, never run: what the compiler makes of the decorator.
import { type Cache, cached } from '../../src/index.ts';

declare const cache: Cache;

export interface Policy {
  readonly id: number;
}

export class Policies {
  @cached(cache, { name: 'policy', ttlMs: 1_000 })
  async find(id: string, page: number): Promise<Policy> {
    return { id: Number(id) + page };
  }

  @cached(cache, { key: (id: string) => id, tags: (id) => [id] })
  async get(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error the key takes a number, the method a string
  @cached(cache, { key: (id: number) => id })
  async wrong(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error only asynchronous methods can be answered from a cache
  @cached(cache)
  size(text: string): number {
    return text.length;
  }
}
