import type { Milliseconds } from '@hotpath/core';

/**
 * Until when a value in memory is known not to have been invalidated elsewhere.
 *
 * All values stored during one subscription share its proof, which each answered PING extends; once
 * the subscription is lost nobody extends it any more, and the values under it run out by themselves.
 */
export class Proof {
  untilMs: Milliseconds;

  constructor(untilMs: Milliseconds) {
    this.untilMs = untilMs;
  }
}
