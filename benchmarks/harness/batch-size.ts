/** Long enough that reading the clock does not count, short enough for hundreds of samples. */
const BATCH_MS = 0.5;
const LARGEST = 1 << 20;

/**
 * Warms up, and finds how many calls fill a batch when they are warm: the least power of two of which even the
 * quickest batch takes half a millisecond.
 *
 * The first calls, of code that is not compiled yet, take so long that a batch sized by them would hold two of
 * the later ones, and the clock would be most of what is measured.
 */
export async function batchSize(
  warmupMs: number,
  run: (count: number) => void | Promise<void>,
  now: () => number = () => performance.now(),
): Promise<number> {
  const warmMs = now() + warmupMs;
  let count = 1;
  for (;;) {
    const startedMs = now();
    await run(count);
    const endedMs = now();
    if (endedMs - startedMs < BATCH_MS && count < LARGEST) count *= 2;
    else if (endedMs >= warmMs) return count;
  }
}
