import { describe, expect, it } from 'vitest';
import { FairShare } from '../../src/internal/fair-share.ts';
import { OriginPool } from '../../src/internal/origin-pool.ts';
import { PRIORITY, Waiter } from '../../src/internal/waiter-queue.ts';

class Somebody extends Waiter {
  readonly priority = PRIORITY.default;
  override onConnection(): void {}
  override onConnectFailure(): void {}
}

interface Given {
  readonly open: number;
  readonly waiting: number;
  readonly connecting?: number;
  readonly exchangesPerConnection?: number;
}

function pools(given: readonly Given[], { perOrigin = 100, hasOneOrigin = false } = {}) {
  const origins = given.map(({ waiting, ...state }, index) => {
    const origin = Object.assign(new OriginPool(new URL(`http://${index}.test`)), state);
    for (let count = 0; count < waiting; count++) origin.waiters.push(new Somebody());
    return origin;
  });
  const options = { maxConnections: 12, maxConnectionsPerOrigin: perOrigin, hasOneOrigin };
  const waiting = new Set(origins.filter(({ waiters }) => waiters.size > 0));
  return { origins, shares: new FairShare(options, new Set(origins), waiting) };
}

describe('the share of an origin', () => {
  it('goes to the one with the fewest connections, of those that wait for one and may have it', () => {
    const { origins, shares } = pools([
      { open: 2, waiting: 5 },
      { open: 1, waiting: 1 },
      { open: 0, waiting: 0 },
      // The connection that is being made for it carries all that wait.
      { open: 1, connecting: 1, exchangesPerConnection: 32, waiting: 20 },
    ]);
    expect(shares.neediest(4)).toBe(origins[1]);
    expect(pools([{ open: 2, waiting: 5 }], { perOrigin: 2 }).shares.neediest(2)).toBeUndefined();
  });

  it('is at most three quarters of all while others have less than theirs, unless no others are expected', () => {
    expect(pools([{ open: 9, waiting: 5 }]).shares.neediest(9)).toBeUndefined();
    const alone = pools([{ open: 9, waiting: 5 }], { hasOneOrigin: true });
    expect(alone.shares.neediest(9)).toBe(alone.origins[0]);
    const { origins, shares } = pools([
      { open: 9, waiting: 5 },
      { open: 0, waiting: 1 },
    ]);
    expect(shares.neediest(9)).toBe(origins[1]);
  });

  it('is given back for one that has less, and not for one that needs or may have no more', () => {
    const whoYields = (other: Given, perOrigin?: number): boolean => {
      const { origins, shares } = pools([{ open: 10, waiting: 5 }, other], { perOrigin });
      return shares.mustYield(origins[0]!);
    };
    expect(whoYields({ open: 2, waiting: 1 })).toBe(true);
    expect(whoYields({ open: 4, waiting: 1 })).toBe(false);
    expect(whoYields({ open: 2, waiting: 1, connecting: 1 })).toBe(false);
    expect(whoYields({ open: 2, waiting: 9, connecting: 1, exchangesPerConnection: 32 })).toBe(false);
    expect(whoYields({ open: 2, waiting: 1 }, 2)).toBe(false);
    const { origins, shares } = pools([
      { open: 4, waiting: 5 },
      { open: 2, waiting: 1 },
    ]);
    expect(shares.mustYield(origins[0]!)).toBe(false);
  });
});
