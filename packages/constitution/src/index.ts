export type { AuditEntry, StoredEntry } from './audit/entry.ts';
export {
  type AuditLog,
  type AuditLogStats,
  createAuditLog,
} from './audit/log.ts';
export { AUDIT_LOG_DEFAULTS, type AuditLogOptions } from './audit/options.ts';
export {
  type PostgresAuditStoreOptions,
  type PostgresPort,
  postgresAuditStore,
} from './audit/postgres-store.ts';
export { type AuditVerification, type VerifyOptions, verifyAuditLog } from './audit/verify.ts';
export type { AuditProblem, AuditProblemKind } from './audit/verify-segment.ts';
export type { AuditCheckpointEvent, AuditWriteFailedEvent } from './audit/writer.ts';
export { BINDING_HEADER, type Binding, type BindingOptions, createBinding } from './binding.ts';
export { canonicalize } from './canonicalize.ts';
export { canonicalizeText } from './canonicalize-text.ts';
export { type CheckResult, type Constitution, createConstitution } from './constitution.ts';
export { contentDigest } from './digest.ts';
export type { DocumentSource } from './document.ts';
export {
  AuditCorruptError,
  AuditRejectedError,
  AuditUnavailableError,
  CanonicalJsonError,
  ConstitutionError,
  type ConstitutionRefusal,
  DocumentError,
  DriftError,
  type Refusal,
  refusalBody,
} from './errors.ts';
export {
  type Fingerprint,
  type FingerprintOptions,
  type FingerprintProfile,
  fingerprint,
  parseFingerprint,
} from './fingerprint.ts';
export { FINGERPRINT_HEADER, HASH_HEADER, type HeaderSource, WARNING_HEADER } from './internal/headers.ts';
export type { Place } from './internal/place.ts';
export type { Instant, Version } from './internal/versions.ts';
export type { AcceptedVersion, ConstitutionMode, ConstitutionOptions, RotateOptions } from './options.ts';
export { CONSTITUTION_DEFAULTS } from './options.ts';
export { checkPinFile, type PinFile, type PinnedVersion, readPinFile } from './pin-file.ts';
export type { ConstitutionStats, RefusedEvent, RotatedEvent } from './stats.ts';
