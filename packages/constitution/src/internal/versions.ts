import { describe, type Milliseconds } from '@hotpath/core';
import { Fingerprint, parseFingerprint } from '../fingerprint.ts';

/** A moment: a Date, milliseconds since the Unix epoch, or an ISO 8601 text with its time zone. */
export type Instant = Date | number | string;

/** One version of the governing document, and when it counts. Times are of the wall clock; both ends may be infinite. */
export interface Version {
  readonly version: number;
  /** 16 hex digits. */
  readonly hash: string;
  /** The whole fingerprint's text; `undefined` when only the short form is known. */
  readonly fingerprint: string | undefined;
  /** From then on it is accepted. */
  readonly fromMs: Milliseconds;
  /** From then on it is the one that is stamped, until one that was planned later is. Infinity: never. */
  readonly activeFromMs: Milliseconds;
  /** From then on it is retired. */
  readonly untilMs: Milliseconds;
}

export type VersionState = 'ok' | 'retired' | 'not-yet-valid';

export function stateAt(version: Version, nowMs: Milliseconds): VersionState {
  if (nowMs < version.fromMs) return 'not-yet-valid';
  return nowMs < version.untilMs ? 'ok' : 'retired';
}

/** The version that is stamped: of those whose time has come the one that was planned last. */
export function activeAt(versions: Iterable<Version>, nowMs: Milliseconds): Version | undefined {
  let active: Version | undefined;
  for (const candidate of versions) if (candidate.activeFromMs <= nowMs) active = candidate;
  return active;
}

/** The next moment after `nowMs` at which a state changes or another takes over; Infinity when there is none. */
export function nextChange(versions: Iterable<Version>, nowMs: Milliseconds): Milliseconds {
  let next = Number.POSITIVE_INFINITY;
  for (const { fromMs, activeFromMs, untilMs } of versions) {
    for (const moment of [fromMs, activeFromMs, untilMs]) if (moment > nowMs && moment < next) next = moment;
  }
  return next;
}

export const SHORT_FORM: RegExp = /^[0-9a-f]{16}$/;

/**
 * The short form of a hash or fingerprint, and the whole where it was given.
 *
 * @throws TypeError when it is neither; the text names `where`.
 */
export function identify(
  given: unknown,
  where: string,
): { readonly hash: string; readonly fingerprint: string | undefined } {
  if (given instanceof Fingerprint) return { hash: given.short, fingerprint: given.toString() };
  if (typeof given === 'string') {
    if (SHORT_FORM.test(given)) return { hash: given, fingerprint: undefined };
    if (given.startsWith('sha256:')) return { hash: parseFingerprint(given).short, fingerprint: given };
  }
  throw new TypeError(`${where} must be 16 lower-case hex digits or a fingerprint, got ${describe(given)}`);
}

const ISO_WITH_ZONE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/** @throws TypeError when it is no moment; the text names `where`. */
export function momentMs(given: unknown, where: string): Milliseconds {
  let ms = Number.NaN;
  if (given instanceof Date) ms = given.getTime();
  else if (typeof given === 'number') ms = given;
  else if (typeof given === 'string' && ISO_WITH_ZONE.test(given)) ms = Date.parse(given);
  if (Number.isNaN(ms)) {
    throw new TypeError(
      `${where} must be a Date, milliseconds since 1970, or an ISO 8601 time with its zone, got ${describe(given)}`,
    );
  }
  return ms;
}
