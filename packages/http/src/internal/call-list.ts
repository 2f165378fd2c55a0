import type { Call } from './call.ts';

/**
 * The requests that are under way.
 *
 * Not a Set: under churn V8 rehashes it again and again, and each dead table in the old generation
 * keeps its successor, with all it held, through every minor collection. That was a fifth of the time.
 */
export class CallList {
  #first: Call | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(call: Call): void {
    const first = this.#first;
    call._nextCall = first;
    if (first !== undefined) first._previousCall = call;
    this.#first = call;
    this.#size++;
  }

  /** Takes out a call that is in the list. */
  delete(call: Call): void {
    const { _nextCall: next, _previousCall: previous } = call;
    if (previous === undefined) this.#first = next;
    else previous._nextCall = next;
    if (next !== undefined) next._previousCall = previous;
    call._nextCall = undefined;
    call._previousCall = undefined;
    this.#size--;
  }

  /** Ends the requests of one group. */
  giveUp(group: object, error: unknown): void {
    for (let call = this.#first; call !== undefined; ) {
      const next: Call | undefined = call._nextCall;
      if (call.group === group) call.fail(error);
      call = next;
    }
  }

  /** Gives up every request. */
  close(): void {
    for (let call = this.#first; call !== undefined; call = this.#first) call.close();
  }
}
