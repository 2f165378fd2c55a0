import { describe } from '@hotpath/core';
import type { CircuitSnapshot } from '../circuit-types.ts';

const LONGEST_MS = Number.MAX_SAFE_INTEGER;

/** @throws TypeError when `given` is not a snapshot of a known version with sound values. */
export function readSnapshot(given: unknown): CircuitSnapshot {
  const wrong = (field: string, expected: string, value: unknown): never => {
    throw new TypeError(`importState: '${field}' must be ${expected}, got ${describe(value)}`);
  };
  if (typeof given !== 'object' || given === null) return wrong('snapshot', 'an object', given);
  const { version, state, remainingMs, openings, takenAt } = given as Record<string, unknown>;
  const amount = (field: string, value: unknown): number =>
    typeof value === 'number' && value >= 0 && value <= LONGEST_MS
      ? value
      : wrong(field, `a number from 0 to ${LONGEST_MS}`, value);
  if (version !== 1) return wrong('version', '1', version);
  if (state !== 'closed' && state !== 'open') return wrong('state', '"closed" or "open"', state);
  const counted = amount('openings', openings);
  if (!Number.isInteger(counted)) return wrong('openings', 'a whole number', openings);
  return {
    version,
    state,
    remainingMs: amount('remainingMs', remainingMs),
    openings: counted,
    takenAt: amount('takenAt', takenAt),
  };
}
