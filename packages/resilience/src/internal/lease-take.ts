import type { Admission } from './gcra.ts';
import type { PendingTake } from './key-lease.ts';

/** What a limiter on Redis says, and how it knew. */
export interface DistributedAdmission extends Admission {
  /**
   * `lease`: this node held it; `redis`: the script said so just now; `refusal`: the script had refused,
   * and that still holds; `closed`, `open`, `share`: Redis is lost, or has `maxWaiting` calls waiting
   * for it, and this rule answered.
   */
  readonly decidedBy: 'lease' | 'redis' | 'refusal' | 'closed' | 'open' | 'share';
}

/** One call that waits for Redis' answer; it may leave before. */
export class Take implements PendingTake {
  readonly cost: number;
  /** Whether a refusal ends a call; it does not where somebody waits and asks again. */
  readonly final: boolean;
  wanted = true;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (admission: DistributedAdmission) => void;
  readonly #reject: (reason: unknown) => void;

  constructor(
    cost: number,
    final: boolean,
    signal: AbortSignal | undefined,
    resolve: (admission: DistributedAdmission) => void,
    reject: (reason: unknown) => void,
  ) {
    this.cost = cost;
    this.final = final;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    signal?.addEventListener('abort', this);
  }

  /** Called by the signal. */
  handleEvent(): void {
    this.reject(this.#signal?.reason);
  }

  resolve(admission: DistributedAdmission): void {
    this.#settle();
    this.#resolve(admission);
  }

  reject(reason: unknown): void {
    this.#settle();
    this.#reject(reason);
  }

  #settle(): void {
    this.wanted = false;
    this.#signal?.removeEventListener('abort', this);
  }
}
