import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe, type Milliseconds } from '@hotpath/core';
import { readDocument } from './document.ts';
import { DocumentError, DriftError } from './errors.ts';
import {
  type Fingerprint,
  type FingerprintProfile,
  fingerprint,
  parseFingerprint,
  plainText,
} from './fingerprint.ts';
import { linesOf } from './internal/lines-of.ts';
import { momentMs, type Version } from './internal/versions.ts';

/** One version in a pin file. Times are ISO 8601; `null` is the beginning or the end of time. */
export interface PinnedVersion {
  readonly version: number;
  /** 16 hex digits. */
  readonly hash: string;
  /** The whole fingerprint. */
  readonly fingerprint: string;
  readonly acceptFrom: string | null;
  readonly activeFrom: string | null;
  readonly until: string | null;
}

/** What a pin file (`constitution.lock.json`) holds. */
export interface PinFile extends PinnedVersion {
  readonly lockVersion: 1;
  /** The document's path, from the pin file's folder. */
  readonly document: string;
  readonly profile: FingerprintProfile;
  /** A copy of the text that was accepted, from the pin file's folder; tells where a document drifted. */
  readonly acceptedCopy: string | null;
  /** Earlier versions, newest first. */
  readonly previous: readonly PinnedVersion[];
}

/** A document that still is what its pin file says. */
export interface CheckedPin {
  readonly pin: PinFile;
  readonly fingerprint: Fingerprint;
}

export const PIN_FILE_NAME = 'constitution.lock.json';

function broken(path: string, problem: string, cause?: unknown): never {
  throw new DocumentError(
    'HOTPATH_CONSTITUTION_PIN_FILE',
    `the pin file ${path} ${problem}`,
    cause === undefined ? undefined : { cause },
  );
}

/**
 * Reads a pin file and checks its shape.
 *
 * @throws DocumentError (HOTPATH_CONSTITUTION_PIN_FILE) when it can't be read or is not one.
 */
export function readPinFile(path: string): PinFile {
  let pin: unknown;
  try {
    pin = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    return broken(path, code === undefined ? 'is not JSON' : `can't be read (${code})`, cause);
  }
  if (typeof pin !== 'object' || pin === null)
    return broken(path, `must hold an object, got ${describe(pin)}`);
  const { lockVersion, document, profile, acceptedCopy, previous, ...current } = pin as Record<
    string,
    unknown
  >;
  if (lockVersion !== 1) return broken(path, `has lockVersion ${describe(lockVersion)}; known is 1`);
  if (typeof document !== 'string' || document === '') return broken(path, 'names no document');
  if (acceptedCopy !== null && typeof acceptedCopy !== 'string')
    return broken(path, 'has a wrong acceptedCopy');
  if (!Array.isArray(previous)) return broken(path, 'must list the previous versions');
  const newest = pinnedVersion(path, current, 'the current version');
  if (parseFingerprint(newest.fingerprint).profile !== profile) {
    return broken(path, 'has a profile that is not that of its fingerprint');
  }
  const older = previous.map((version, index) => pinnedVersion(path, version, `previous[${index}]`));
  const hashes = new Set([newest, ...older].map(({ hash }) => hash));
  if (hashes.size !== older.length + 1) return broken(path, 'has one hash twice');
  for (const { version } of older) {
    if (version >= newest.version)
      return broken(path, `lists version ${version} before version ${newest.version}`);
  }
  return {
    ...newest,
    lockVersion,
    document,
    profile: profile as FingerprintProfile,
    acceptedCopy,
    previous: older,
  };
}

function pinnedVersion(path: string, given: unknown, where: string): PinnedVersion {
  if (typeof given !== 'object' || given === null) return broken(path, `: ${where} must be an object`);
  const {
    version,
    hash,
    fingerprint: whole,
    acceptFrom,
    activeFrom,
    until,
  } = given as Record<string, unknown>;
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    return broken(path, `: ${where} has the version ${describe(version)}`);
  }
  try {
    const [opens = Number.NEGATIVE_INFINITY, takesOver = Number.NEGATIVE_INFINITY, ends] = [
      acceptFrom,
      activeFrom,
      until,
    ].map((moment) => (moment === null ? undefined : momentMs(moment, where)));
    if (takesOver < opens || (ends !== undefined && ends < opens)) {
      return broken(path, `: ${where} ends or takes over before it is accepted`);
    }
    if (parseFingerprint(whole as string).short !== hash) {
      return broken(path, `: ${where} has a hash that is not the beginning of its digest`);
    }
  } catch (cause) {
    if (cause instanceof DocumentError && cause.code === 'HOTPATH_CONSTITUTION_PIN_FILE') throw cause;
    return broken(path, `: ${where}: ${(cause as Error).message}`, cause);
  }
  return { version, hash, fingerprint: whole, acceptFrom, activeFrom, until } as PinnedVersion;
}

/**
 * Recomputes the fingerprint of a pin file's document.
 *
 * @throws DriftError (HOTPATH_CONSTITUTION_DRIFT) when it differs, naming the first line that does where
 * the accepted text was kept.
 * @throws DocumentError (HOTPATH_CONSTITUTION_PIN_FILE, HOTPATH_CONSTITUTION_DOCUMENT) when either can't be read.
 */
export function checkPinFile(path: string): CheckedPin {
  const pin = readPinFile(path);
  const documentPath = resolve(dirname(path), pin.document);
  const content = readDocument(documentPath);
  const actual = fingerprint(content, { profile: pin.profile });
  if (actual.toString() === pin.fingerprint) return { pin, fingerprint: actual };
  const accepted = acceptedText(path, pin);
  const line =
    accepted === undefined ? undefined : firstDifference(accepted, documentLines(content, pin.profile));
  const place = line === undefined ? '' : `; first difference in line ${line}`;
  throw new DriftError(
    'HOTPATH_CONSTITUTION_DRIFT',
    `${pin.document} is ${actual}, pinned is ${pin.fingerprint}${place}`,
  );
}

/** The lines of the text that was accepted last; `undefined` when it was not kept or is not that text any more. */
export function acceptedText(path: string, pin: PinFile): readonly string[] | undefined {
  if (pin.acceptedCopy === null) return undefined;
  const copy = resolve(dirname(path), pin.acceptedCopy);
  if (!existsSync(copy)) return undefined;
  const content = readFileSync(copy);
  if (fingerprint(content, { profile: pin.profile }).toString() !== pin.fingerprint) return undefined;
  return documentLines(content, pin.profile);
}

/** The lines that differ when the fingerprint does: under `text-v1` without what that profile takes out. */
export function documentLines(content: Uint8Array, profile: FingerprintProfile): readonly string[] {
  const bytes = Buffer.from(content);
  return profile === 'text-v1' ? plainText(bytes.toString('utf8')).split('\n') : linesOf(bytes);
}

/** The number of the first line that differs, from 1. */
export function firstDifference(before: readonly string[], after: readonly string[]): number {
  let index = 0;
  while (index < before.length && before[index] === after[index]) index++;
  return index + 1;
}

/** The versions of a pin file, as a constitution keeps them: the newest last. */
export function versionsOf(pin: PinFile): readonly Version[] {
  return [...pin.previous.toReversed(), pin].map((version) => ({
    version: version.version,
    hash: version.hash,
    fingerprint: version.fingerprint,
    fromMs: boundMs(version.acceptFrom, Number.NEGATIVE_INFINITY),
    activeFromMs: boundMs(version.activeFrom, Number.NEGATIVE_INFINITY),
    untilMs: boundMs(version.until, Number.POSITIVE_INFINITY),
  }));
}

export function boundMs(moment: string | null, open: Milliseconds): Milliseconds {
  return moment === null ? open : Date.parse(moment);
}
