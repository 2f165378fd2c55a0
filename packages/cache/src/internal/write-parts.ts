import type { Argument } from './resp.ts';

/** What a script writes at once: Redis does nothing else meanwhile, and more would take longer than a command may. */
const MOST_KEYS = 1_000;
const MOST_BYTES = 1024 * 1024;

/** Where the keys end that are written in one script with that at `start`; `values` holds milliseconds and bytes for the first of them. */
export function endOfPart(keys: readonly string[], values: readonly Argument[], start: number): number {
  const last = Math.min(keys.length, start + MOST_KEYS);
  let end = start;
  let bytes = 0;
  while (end < last) {
    const value = values[2 * end + 1];
    if (value instanceof Buffer) bytes += value.byteLength;
    if (bytes > MOST_BYTES && end > start) break;
    end++;
  }
  return end;
}
