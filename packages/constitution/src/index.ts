export { canonicalize } from './canonicalize.ts';
export { canonicalizeText } from './canonicalize-text.ts';
export {
  type CheckResult,
  type Constitution,
  type ConstitutionStats,
  createConstitution,
  type RefusedEvent,
  type RotatedEvent,
} from './constitution.ts';
export type { DocumentSource } from './document.ts';
export {
  AuditCorruptError,
  AuditRejectedError,
  CanonicalJsonError,
  ConstitutionError,
  type ConstitutionErrorCode,
  type ConstitutionRefusal,
  DocumentError,
  DriftError,
  type Refusal,
  refusalBody,
} from './errors.ts';
export {
  FINGERPRINT_PROFILES,
  type Fingerprint,
  type FingerprintOptions,
  type FingerprintProfile,
  fingerprint,
  parseFingerprint,
} from './fingerprint.ts';
export { FINGERPRINT_HEADER, HASH_HEADER, type HeaderSource, WARNING_HEADER } from './internal/headers.ts';
export type { Place } from './internal/place.ts';
export type { Instant, Version } from './internal/versions.ts';
export {
  type AcceptedVersion,
  CONSTITUTION_DEFAULTS,
  type ConstitutionMode,
  type ConstitutionOptions,
  type RotateOptions,
} from './options.ts';
export { checkPinFile, type PinFile, type PinnedVersion, readPinFile } from './pin-file.ts';
