import { type Clock, describe, type Milliseconds, optionReader, systemClock } from '@hotpath/core';
import { assertDocument, type DocumentSource } from './document.ts';
import { DocumentError } from './errors.ts';
import { FINGERPRINT_PROFILES, type Fingerprint, type FingerprintProfile } from './fingerprint.ts';
import type { Place } from './internal/place.ts';
import { activeAt, type Instant, identify, momentMs, type Version } from './internal/versions.ts';
import { checkPinFile, versionsOf } from './pin-file.ts';

/**
 * What happens to work whose check is not `ok`.
 *
 * - `enforce`: it is refused.
 * - `warn`: it is let through, and its response carries `Constitution-Warning` with the result.
 * - `shadow`: it is let through, and only counters and events tell.
 */
export type ConstitutionMode = 'enforce' | 'warn' | 'shadow';

/** A version that is accepted beside the active one. */
export interface AcceptedVersion {
  /** 16 hex digits, or a whole fingerprint. */
  readonly fingerprint: string | Fingerprint;
  /** Default: none of its own (0), so that any version may follow it. */
  readonly version?: number;
  /** Default: already. */
  readonly from?: Instant;
  /** When it takes over as the active one. Default: never. */
  readonly activeFrom?: Instant;
  /** When it is retired; the end must be said, also where there is none. */
  readonly until: Instant | 'never';
}

/** What {@link createConstitution} takes: `active`, or `pinFile`. */
export interface ConstitutionOptions {
  /** The version in force: 16 hex digits, or a whole fingerprint. */
  readonly active?: string | Fingerprint | undefined;
  /** Its number, from 1. Default 1. */
  readonly version?: number | undefined;
  /** When it is retired. Default: never. Needed where an accepted version will take over. */
  readonly until?: Instant | 'never' | undefined;
  /** Other versions that are accepted, are yet to come, or are over (and known as retired). At most 1,000. */
  readonly accepted?: readonly AcceptedVersion[] | undefined;
  /** Default `enforce`. */
  readonly mode?: ConstitutionMode | undefined;
  /** The document itself: start is refused when its fingerprint is not that of the active or of the newest version. */
  readonly document?: DocumentSource | undefined;
  /** A path such as `constitution.lock.json`, read once, instead of `active`, `version`, `until`, `accepted` and `document`. */
  readonly pinFile?: string | undefined;
  /** The place of the hash in messages. Default `constitutional_hash`. */
  readonly messageField?: Place | undefined;
  readonly clock?: Clock | undefined;
}

/** What {@link Constitution.rotate} takes. */
export interface RotateOptions {
  /** The version that takes over: 16 hex digits, or a whole fingerprint. */
  readonly to: string | Fingerprint;
  /** Its number. Default: the number it is known by, or one more than the newest. */
  readonly version?: number | undefined;
  /** From when it is accepted. Default now. */
  readonly acceptFrom?: Instant | undefined;
  /** From when it is stamped. Default now. */
  readonly activateAt?: Instant | undefined;
  /** How long the version before is accepted after that. Default 86,400,000 (a day). */
  readonly graceMs?: Milliseconds | undefined;
  /** When the new version is retired. Default never. */
  readonly until?: Instant | 'never' | undefined;
  /** Allows a version that is not newer. Default false. */
  readonly force?: boolean | undefined;
}

export const MAX_VERSIONS = 1_000;

export const CONSTITUTION_DEFAULTS: Readonly<{
  version: number;
  mode: ConstitutionMode;
  messageField: string;
  graceMs: Milliseconds;
}> = Object.freeze({
  version: 1,
  mode: 'enforce',
  messageField: 'constitutional_hash',
  graceMs: 86_400_000,
});

interface ResolvedConstitutionOptions {
  readonly mode: ConstitutionMode;
  readonly clock: Clock;
  readonly messageField: Place;
  /** At least one, and one of them is active now. */
  readonly versions: readonly Version[];
}

const MODES: readonly ConstitutionMode[] = ['enforce', 'warn', 'shadow'];
const OWNER = 'createConstitution';

export function resolveConstitutionOptions(options: ConstitutionOptions): ResolvedConstitutionOptions {
  const read = optionReader(OWNER, options);
  const mode = read.oneOf('mode', MODES, CONSTITUTION_DEFAULTS.mode);
  const clock = read.object<Clock>('clock', systemClock, ['wallTime', 'setTimeout', 'clearTimeout']);
  const messageField = resolvePlace(read.any('messageField'), `${OWNER}: option 'messageField'`);
  const pinFile = read.string('pinFile', undefined);
  const version = read.integer('version', CONSTITUTION_DEFAULTS.version, { min: 1 });
  const given = {
    active: read.any('active'),
    version: read.any('version'),
    until: read.any('until'),
    accepted: read.any('accepted'),
    document: read.any('document'),
  };
  read.end();
  if (pinFile !== undefined) {
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined) {
        throw new TypeError(`${OWNER}: option '${name}' can't be combined with option 'pinFile'`);
      }
    }
    const versions = versionsOf(checkPinFile(pinFile).pin);
    if (activeAt(versions, clock.wallTime()) === undefined) {
      throw new DocumentError(
        'HOTPATH_CONSTITUTION_PIN_FILE',
        `the pin file ${pinFile} has no version whose time has come`,
      );
    }
    return Object.freeze({ mode, clock, messageField, versions });
  }
  const versions = [
    activeVersion(given.active, version, given.until),
    ...acceptedVersions(given.accepted, given.until !== undefined).sort(byTakeOver),
  ];
  refuseRepeats(versions);
  refuseFalls(versions);
  if (given.document !== undefined) {
    const current = activeAt(versions, clock.wallTime()) as Version;
    const newest = versions.reduce((one, other) => (other.version > one.version ? other : one));
    assertDocument(resolveDocument(given.document), [current, newest]);
  }
  return Object.freeze({ mode, clock, messageField, versions });
}

function activeVersion(active: unknown, version: number, until: unknown): Version {
  return {
    ...identify(active, `${OWNER}: option 'active'`),
    version,
    fromMs: Number.NEGATIVE_INFINITY,
    activeFromMs: Number.NEGATIVE_INFINITY,
    untilMs: until === undefined ? Number.POSITIVE_INFINITY : endMs(until, `${OWNER}: option 'until'`),
  };
}

function acceptedVersions(accepted: unknown, hasEnd: boolean): Version[] {
  if (accepted === undefined) return [];
  if (!Array.isArray(accepted)) {
    throw new TypeError(`${OWNER}: option 'accepted' must be an array, got ${describe(accepted)}`);
  }
  if (accepted.length >= MAX_VERSIONS) {
    throw new RangeError(`${OWNER}: option 'accepted' must have less than ${MAX_VERSIONS} versions`);
  }
  return accepted.map((entry: unknown, index) => {
    const at = `accepted[${index}]`;
    const read = optionReader(`${OWNER}: ${at}`, entry);
    const where = (name: string): string => `${OWNER}: ${at}.${name}`;
    const from = read.any('from');
    const activeFrom = read.any('activeFrom');
    const version: Version = {
      ...identify(read.any('fingerprint'), where('fingerprint')),
      version: read.integer('version', 0, { min: 0 }),
      fromMs: from === undefined ? Number.NEGATIVE_INFINITY : momentMs(from, where('from')),
      activeFromMs:
        activeFrom === undefined ? Number.POSITIVE_INFINITY : momentMs(activeFrom, where('activeFrom')),
      untilMs: endMs(read.any('until'), where('until')),
    };
    read.end();
    if (version.untilMs <= version.fromMs) {
      throw new RangeError(`${where('until')} must be later than ${at}.from`);
    }
    if (version.activeFromMs !== Number.POSITIVE_INFINITY) {
      if (version.activeFromMs < version.fromMs || version.activeFromMs >= version.untilMs) {
        throw new RangeError(`${where('activeFrom')} must be between its from and until`);
      }
      if (!hasEnd) {
        throw new TypeError(`${OWNER}: option 'until' is needed, because ${at} will take over`);
      }
    }
    return version;
  });
}

function refuseRepeats(versions: readonly Version[]): void {
  const seen = new Set<string>();
  for (const { hash } of versions) {
    if (seen.has(hash)) throw new RangeError(`${OWNER}: two versions have the short hash ${hash}`);
    seen.add(hash);
  }
}

function byTakeOver(a: Version, b: Version): number {
  if (a.activeFromMs === b.activeFromMs) return a.version - b.version;
  return a.activeFromMs < b.activeFromMs ? -1 : 1;
}

function refuseFalls(versions: readonly Version[]): void {
  let newest = 0;
  for (const { version, activeFromMs } of versions) {
    if (version === 0 || activeFromMs === Number.POSITIVE_INFINITY) continue;
    if (version <= newest) {
      throw new RangeError(`${OWNER}: version ${version} would take over from version ${newest}`);
    }
    newest = version;
  }
}

function endMs(until: unknown, where: string): Milliseconds {
  return until === 'never' ? Number.POSITIVE_INFINITY : momentMs(until, where);
}

/** @throws TypeError when it is no field name and no list of them. */
export function resolvePlace(place: unknown, where: string): Place {
  if (place === undefined) return CONSTITUTION_DEFAULTS.messageField;
  const names = typeof place === 'string' ? place.split('.') : place;
  const isPlace =
    Array.isArray(names) &&
    names.length > 0 &&
    names.every((name) => typeof name === 'string' && name !== '');
  if (!isPlace)
    throw new TypeError(`${where} must be field names separated by dots, or a list, got ${describe(place)}`);
  return place as Place;
}

function resolveDocument(document: unknown): DocumentSource {
  const read = optionReader(`${OWNER}: option 'document'`, document);
  const path = read.string('path', undefined);
  const content = read.any('content') as string | Uint8Array | undefined;
  const profile = read.oneOf<FingerprintProfile, undefined>('profile', FINGERPRINT_PROFILES, undefined);
  read.end();
  if ((path === undefined) === (content === undefined)) {
    throw new TypeError(`${OWNER}: option 'document' needs either path or content`);
  }
  return {
    ...(path === undefined ? { content: content as string | Uint8Array } : { path }),
    ...(profile === undefined ? {} : { profile }),
  };
}

export interface ResolvedRotateOptions {
  readonly to: { readonly hash: string; readonly fingerprint: string | undefined };
  readonly version: number | undefined;
  readonly acceptFromMs: Milliseconds;
  readonly activateAtMs: Milliseconds;
  readonly graceMs: Milliseconds;
  readonly untilMs: Milliseconds;
  readonly force: boolean;
}

export function resolveRotateOptions(options: RotateOptions, nowMs: Milliseconds): ResolvedRotateOptions {
  const read = optionReader('rotate', options);
  const acceptFrom = read.any('acceptFrom');
  const activateAt = read.any('activateAt');
  const until = read.any('until');
  const resolved: ResolvedRotateOptions = {
    to: identify(read.any('to'), "rotate: option 'to'"),
    version: read.integer('version', undefined, { min: 1 }),
    acceptFromMs: acceptFrom === undefined ? nowMs : momentMs(acceptFrom, "rotate: option 'acceptFrom'"),
    activateAtMs: activateAt === undefined ? nowMs : momentMs(activateAt, "rotate: option 'activateAt'"),
    graceMs: read.number('graceMs', CONSTITUTION_DEFAULTS.graceMs, { min: 0 }),
    untilMs: until === undefined ? Number.POSITIVE_INFINITY : endMs(until, "rotate: option 'until'"),
    force: read.boolean('force', false),
  };
  read.end();
  if (resolved.untilMs <= resolved.activateAtMs) {
    throw new RangeError("rotate: option 'until' must be later than option 'activateAt'");
  }
  return Object.freeze(resolved);
}
