/** A buffer with the platform's quickest way to write text. */
export type Slab = Buffer & { utf8Write(text: string, offset: number): number };

/**
 * A slab with room for `moreBytes`, which begins with what is laid out in `slab` from `start` to `end`.
 *
 * What was handed out of the old one before `start` stays there, since the socket may still hold it.
 */
export function largerSlab(
  slab: Slab,
  start: number,
  end: number,
  moreBytes: number,
  leastBytes: number,
): Slab {
  const larger = Buffer.allocUnsafeSlow(Math.max(leastBytes, (end - start + moreBytes) * 2)) as Slab;
  slab.copy(larger, 0, start, end);
  return larger;
}
