import { readFileSync } from 'node:fs';
import { DocumentError, DriftError } from './errors.ts';
import { type Fingerprint, type FingerprintProfile, fingerprint, parseFingerprint } from './fingerprint.ts';
import type { Version } from './internal/versions.ts';

/** Where the governing document is: a file, or its content. */
export type DocumentSource = (
  | { readonly path: string; readonly content?: never }
  | { readonly content: string | Uint8Array; readonly path?: never }
) & {
  /** Default: that of the version's fingerprint; `raw` where only its short hash is known. */
  readonly profile?: FingerprintProfile;
};

/** @throws DocumentError (HOTPATH_CONSTITUTION_DOCUMENT) when it can't be read. */
export function readDocument(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DocumentError('HOTPATH_CONSTITUTION_DOCUMENT', `the document ${path} can't be read (${code})`, {
      cause,
    });
  }
}

/** @throws DriftError (HOTPATH_CONSTITUTION_DRIFT) when the document is none of the versions. */
export function assertDocument(source: DocumentSource, versions: readonly Version[]): void {
  const content = source.path === undefined ? source.content : readDocument(source.path);
  const found: Fingerprint[] = [];
  for (const version of versions) {
    const profile = source.profile ?? profileOf(version);
    const actual = fingerprint(content, { profile });
    if (
      version.fingerprint === undefined
        ? actual.short === version.hash
        : String(actual) === version.fingerprint
    ) {
      return;
    }
    found.push(actual);
  }
  throw new DriftError(
    'HOTPATH_CONSTITUTION_DRIFT',
    `${source.path === undefined ? 'the document' : `the document ${source.path}`} is ${found[0]}, which is neither the active nor the newest version`,
  );
}

function profileOf({ fingerprint: whole }: Version): FingerprintProfile {
  return whole === undefined ? 'raw' : parseFingerprint(whole).profile;
}
