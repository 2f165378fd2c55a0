import { cached, cachedMethod } from '@hotpath/cache';
import { Injectable } from '@nestjs/common';
import { cache } from './cache.ts';

export interface Policy {
  readonly id: string;
  readonly title: string;
  readonly revision: number;
}

@Injectable()
export class PoliciesService {
  readonly #revisions = new Map<string, number>();
  /** How often the slow way was taken. */
  loads = 0;

  @cached(cache, { name: 'policy' })
  async find(id: string): Promise<Policy> {
    this.loads++;
    return { id, title: `Policy ${id}`, revision: this.#revisions.get(id) ?? 1 };
  }

  async revise(id: string): Promise<Policy> {
    this.#revisions.set(id, (this.#revisions.get(id) ?? 1) + 1);
    await cachedMethod(this.find).invalidate(id);
    return this.find(id);
  }
}
