// Insertion sort wins on the handful of keys that most objects have.
const FEW = 24;

/** Sorts keys in place, by UTF-16 code units (as RFC 8785 §3.2.3 demands). */
export function sortKeys(keys: string[]): string[] {
  const count = keys.length;
  if (count > FEW) return keys.sort();
  for (let index = 1; index < count; index++) {
    const key = keys[index] as string;
    let place = index;
    while (place > 0 && isBehind(keys[place - 1] as string, key)) {
      keys[place] = keys[place - 1] as string;
      place--;
    }
    if (place !== index) keys[place] = key;
  }
  return keys;
}

/** As `a > b`; most keys differ in their first character, which is read many times faster than texts are compared. */
function isBehind(a: string, b: string): boolean {
  const first = a.charCodeAt(0);
  const other = b.charCodeAt(0);
  if (first > other) return true;
  // Neither holds for an empty key, whose first character is NaN.
  return first < other ? false : a > b;
}
