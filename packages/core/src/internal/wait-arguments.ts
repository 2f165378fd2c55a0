import { describe } from '../options.ts';

/** @throws TypeError when what was given as a signal is none; `undefined` means that none was given. */
export function checkSignal(owner: string, signal: unknown): void {
  if (signal === undefined) return;
  const { addEventListener } = (signal ?? {}) as { readonly addEventListener?: unknown };
  if (typeof addEventListener !== 'function') {
    throw new TypeError(`${owner}: signal must be an AbortSignal, got ${describe(signal)}`);
  }
}

/** @throws TypeError when a length of time is no number. */
export function checkMs(owner: string, name: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new TypeError(`${owner}: ${name} must be a number, got ${describe(value)}`);
  }
}
