import {
  CorruptError,
  GovernanceError,
  type HotpathErrorOptions,
  RejectedError,
  UnavailableError,
} from '@hotpath/core';
import type { CheckResult } from './constitution.ts';

/** A check that did not say `ok`. */
export type Refusal = Exclude<CheckResult, 'ok'>;

/** The error code of each refusal. */
export type ConstitutionErrorCode =
  | 'HOTPATH_CONSTITUTION_MISSING'
  | 'HOTPATH_CONSTITUTION_MALFORMED'
  | 'HOTPATH_CONSTITUTION_UNKNOWN'
  | 'HOTPATH_CONSTITUTION_RETIRED'
  | 'HOTPATH_CONSTITUTION_NOT_YET_VALID';

const refusals: Readonly<Record<Refusal, readonly [code: ConstitutionErrorCode, message: string]>> = {
  missing: ['HOTPATH_CONSTITUTION_MISSING', 'the constitutional hash is missing'],
  malformed: ['HOTPATH_CONSTITUTION_MALFORMED', 'the constitutional hash is not 16 lower-case hex digits'],
  unknown: ['HOTPATH_CONSTITUTION_UNKNOWN', 'the constitutional hash is not one that is accepted here'],
  retired: [
    'HOTPATH_CONSTITUTION_RETIRED',
    'the constitutional hash is of a version that is no longer accepted',
  ],
  'not-yet-valid': [
    'HOTPATH_CONSTITUTION_NOT_YET_VALID',
    'the constitutional hash is of a version that is not accepted yet',
  ],
};

/** The work carried no accepted constitutional hash. Neither the message nor any field tells the expected one. */
export class ConstitutionError extends GovernanceError<ConstitutionErrorCode> {
  static {
    this.prototype.name = 'ConstitutionError';
  }

  readonly result: Refusal;

  constructor(result: Refusal) {
    super(refusals[result][0], refusals[result][1]);
    this.result = result;
  }
}

/** The JSON body of the 403 that the middlewares answer with. */
export interface ConstitutionRefusal {
  readonly error: {
    readonly code: ConstitutionErrorCode;
    readonly result: Refusal;
    readonly message: string;
  };
}

/** The body of a 403 for a refusal; it never holds an accepted hash. */
export function refusalBody(result: Refusal): ConstitutionRefusal {
  const [code, message] = refusals[result];
  return { error: { code, result, message } };
}

/** The governing document is not the one that was pinned, or a version would go back. */
export class DriftError<
  Code extends 'HOTPATH_CONSTITUTION_DRIFT' | 'HOTPATH_CONSTITUTION_ROLLBACK' =
    | 'HOTPATH_CONSTITUTION_DRIFT'
    | 'HOTPATH_CONSTITUTION_ROLLBACK',
> extends GovernanceError<Code> {
  static {
    this.prototype.name = 'DriftError';
  }
}

/** A value or text has no canonical JSON form. */
export class CanonicalJsonError extends CorruptError<'HOTPATH_CANONICAL_JSON'> {
  static {
    this.prototype.name = 'CanonicalJsonError';
  }

  /** Where it is: `$.rules[3].text`. `$` is the whole. */
  readonly path: string;

  constructor(path: string, problem: string, options?: HotpathErrorOptions) {
    super('HOTPATH_CANONICAL_JSON', `${path} ${problem}`, options);
    this.path = path;
  }
}

/** A document, pin file or fingerprint is not what it must be. */
export class DocumentError extends CorruptError<
  'HOTPATH_CONSTITUTION_DOCUMENT' | 'HOTPATH_CONSTITUTION_PIN_FILE' | 'HOTPATH_CONSTITUTION_FINGERPRINT'
> {
  static {
    this.prototype.name = 'DocumentError';
  }
}

/** The audit log's stored data is damaged, or a proof or checkpoint can't be made from it. */
export class AuditCorruptError extends CorruptError<'HOTPATH_AUDIT_CORRUPT' | 'HOTPATH_AUDIT_CHECKPOINT'> {
  static {
    this.prototype.name = 'AuditCorruptError';
  }
}

/** The audit log can't take the entry or the order now. */
export class AuditRejectedError extends RejectedError<
  | 'HOTPATH_AUDIT_BUFFER_FULL'
  | 'HOTPATH_AUDIT_CLOSED'
  | 'HOTPATH_AUDIT_LOCKED'
  | 'HOTPATH_AUDIT_CONFLICT'
  | 'HOTPATH_AUDIT_DROPPED'
> {
  static {
    this.prototype.name = 'AuditRejectedError';
  }
}

/** The audit log's store can't be written or read now: the disk is full or read-only, the database is away. */
export class AuditUnavailableError extends UnavailableError<'HOTPATH_AUDIT_UNAVAILABLE'> {
  static {
    this.prototype.name = 'AuditUnavailableError';
  }
}
