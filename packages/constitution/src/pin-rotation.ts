import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Milliseconds } from '@hotpath/core';
import { readDocument } from './document.ts';
import { DocumentError, DriftError } from './errors.ts';
import { type FingerprintProfile, fingerprint } from './fingerprint.ts';
import { writeWhole } from './internal/write-whole.ts';
import { boundMs, type PinFile, type PinnedVersion, readPinFile } from './pin-file.ts';

/** Writes a pin file, whole or not at all. */
function writePinFile(path: string, pin: PinFile): void {
  const { lockVersion, document, profile, version, hash, fingerprint: whole, ...rest } = pin;
  const ordered = { lockVersion, document, profile, version, hash, fingerprint: whole, ...rest };
  writeWhole(path, `${JSON.stringify(ordered, null, 2)}\n`);
}

/** What {@link pinDocument} and {@link rotatePin} take besides the document. */
export interface PinTimes {
  readonly nowMs: Milliseconds;
  /** Between being accepted and being stamped. Default 0. */
  readonly leadMs?: Milliseconds | undefined;
  /** How long the version before is accepted afterwards. Default a day. */
  readonly graceMs?: Milliseconds | undefined;
  /** When the new version is retired. Default never. */
  readonly untilMs?: Milliseconds | undefined;
}

/** Pins a document for the first time, and keeps a copy of its text beside the pin file. */
export function pinDocument(path: string, documentPath: string, profile: FingerprintProfile): PinFile {
  const content = readDocument(documentPath);
  const actual = fingerprint(content, { profile });
  const pin: PinFile = {
    lockVersion: 1,
    document: relative(dirname(resolve(path)), resolve(documentPath)),
    profile,
    version: 1,
    hash: actual.short,
    fingerprint: actual.toString(),
    acceptFrom: null,
    activeFrom: null,
    until: null,
    acceptedCopy: keepCopy(path, content),
    previous: [],
  };
  writePinFile(path, pin);
  return pin;
}

/**
 * Pins the document as it is now as the next version, and gives the one before its end.
 *
 * @throws DriftError (HOTPATH_CONSTITUTION_ROLLBACK) when the document is an earlier version, unless `force`.
 * @throws DocumentError (HOTPATH_CONSTITUTION_DOCUMENT) when the document did not change.
 */
export function rotatePin(path: string, times: PinTimes, force = false): PinFile {
  const { nowMs, leadMs = 0, graceMs = 86_400_000, untilMs = Number.POSITIVE_INFINITY } = times;
  const pin = readPinFile(path);
  const content = readDocument(resolve(dirname(path), pin.document));
  const actual = fingerprint(content, { profile: pin.profile });
  if (actual.toString() === pin.fingerprint) {
    throw new DocumentError('HOTPATH_CONSTITUTION_DOCUMENT', `${pin.document} is the pinned version already`);
  }
  const earlier = pin.previous.find(({ hash }) => hash === actual.short);
  if (earlier !== undefined && !force) {
    throw new DriftError(
      'HOTPATH_CONSTITUTION_ROLLBACK',
      `${pin.document} is version ${earlier.version} again; versions only go up`,
    );
  }
  const activeFromMs = nowMs + leadMs;
  const { lockVersion: _, document, profile, acceptedCopy: __, previous, ...before } = pin;
  const ending = (version: PinnedVersion): PinnedVersion => ({
    ...version,
    until: isoOrNull(Math.min(boundMs(version.until, Number.POSITIVE_INFINITY), activeFromMs + graceMs)),
  });
  const next: PinFile = {
    lockVersion: 1,
    document,
    profile,
    version: pin.version + 1,
    hash: actual.short,
    fingerprint: actual.toString(),
    acceptFrom: isoOrNull(nowMs),
    activeFrom: isoOrNull(activeFromMs),
    until: isoOrNull(untilMs),
    acceptedCopy: keepCopy(path, content),
    previous: [before, ...previous].filter(({ hash }) => hash !== actual.short).map(ending),
  };
  writePinFile(path, next);
  return next;
}

function isoOrNull(ms: Milliseconds): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null;
}

/** Named after the pin file, so that two of them in one folder keep a copy each. */
function keepCopy(path: string, content: Uint8Array): string {
  const name = `${basename(path).replace(/(\.lock)?\.json$/, '')}.accepted`;
  writeWhole(join(dirname(path), name), content);
  return name;
}
