const OBJECT_BYTES = 32;
const FIELD_BYTES = 8;
const STRING_BYTES = 24;

/**
 * About how many bytes a value takes in memory: an estimate from its shape, not a measurement.
 *
 * Cost: O(size).
 */
export function estimateBytes(value: unknown): number {
  if (typeof value === 'string') return STRING_BYTES + value.length;
  if (typeof value !== 'object' || value === null) return FIELD_BYTES;
  let bytes = 0;
  const seen = new Set<object>([value]);
  const add = (field: unknown): void => {
    bytes += FIELD_BYTES;
    if (typeof field === 'string') bytes += STRING_BYTES + field.length;
    else if (typeof field === 'object' && field !== null) seen.add(field);
    else if (typeof field === 'number' && !Number.isInteger(field)) bytes += FIELD_BYTES * 2;
  };
  for (const object of seen) {
    bytes += OBJECT_BYTES;
    if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer) bytes += object.byteLength;
    else if (object instanceof Map) {
      for (const [key, item] of object) {
        add(key);
        add(item);
      }
    } else if (object instanceof Set || Array.isArray(object)) for (const item of object) add(item);
    else for (const name in object) add((object as Record<string, unknown>)[name]);
  }
  return bytes;
}
