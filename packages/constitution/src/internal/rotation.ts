import type { Milliseconds } from '@hotpath/core';
import { DriftError } from '../errors.ts';
import { MAX_VERSIONS, type ResolvedRotateOptions } from '../options.ts';
import { stateAt, type Version } from './versions.ts';

/** Versions by hash, in the order in which they were planned. */
export type Versions = ReadonlyMap<string, Version>;

/**
 * The versions once a rotation is planned: the new one last, all that would be stamped without it given their end.
 *
 * @throws DriftError (HOTPATH_CONSTITUTION_ROLLBACK) when the version would not go up, unless forced.
 * @throws RangeError when two versions would share a hash, or too many would be known.
 */
export function rotated(
  versions: Versions,
  { to, version, acceptFromMs, activateAtMs, graceMs, untilMs, force }: ResolvedRotateOptions,
  nowMs: Milliseconds,
): Versions {
  const known = versions.get(to.hash);
  if (isAnother(to.fingerprint, known?.fingerprint)) {
    throw new RangeError(`rotate: option 'to' has the short hash ${to.hash} of another version`);
  }
  const all = [...versions.values()];
  const number = version ?? known?.version ?? Math.max(...all.map((other) => other.version)) + 1;
  const others = all.filter((other) => other.hash !== to.hash);
  const stamped = others.filter(({ activeFromMs }) => activeFromMs !== Number.POSITIVE_INFINITY);
  if (!force && stamped.some((other) => other.version >= number)) {
    throw new DriftError(
      'HOTPATH_CONSTITUTION_ROLLBACK',
      `versions only go up: version ${number} would follow a version that is as new or newer`,
    );
  }
  const next = new Map<string, Version>();
  for (const other of others) {
    const untilOther = stamped.includes(other)
      ? Math.min(other.untilMs, activateAtMs + graceMs)
      : other.untilMs;
    next.set(other.hash, { ...other, untilMs: untilOther });
  }
  next.set(to.hash, {
    version: number,
    hash: to.hash,
    fingerprint: to.fingerprint ?? known?.fingerprint,
    fromMs: Math.min(acceptFromMs, activateAtMs),
    activeFromMs: activateAtMs,
    untilMs,
  });
  forgetOldest(next, nowMs);
  return next;
}

function isAnother(given: string | undefined, known: string | undefined): boolean {
  return given !== undefined && known !== undefined && given !== known;
}

/** Versions that are over are remembered, so that they are told from unknown ones, up to a bound. */
function forgetOldest(versions: Map<string, Version>, nowMs: Milliseconds): void {
  for (const version of byNumber(versions)) {
    if (versions.size <= MAX_VERSIONS) return;
    if (stateAt(version, nowMs) === 'retired') versions.delete(version.hash);
  }
  if (versions.size > MAX_VERSIONS) {
    throw new RangeError(`rotate: more than ${MAX_VERSIONS} versions would be accepted or planned at once`);
  }
}

export function byNumber(versions: Versions): readonly Version[] {
  return [...versions.values()].sort((a, b) => a.version - b.version);
}
