import type { Refusal } from './errors.ts';
import type { ConstitutionMode } from './options.ts';

/** Checks since the start, by result; and rotations that took effect. */
export interface ConstitutionStats {
  readonly ok: number;
  readonly missing: number;
  readonly malformed: number;
  readonly unknown: number;
  readonly retired: number;
  readonly notYetValid: number;
  readonly rotations: number;
}

/** Published on `hotpath:constitution:refused` for every check that is not `ok`, in every mode. */
export interface RefusedEvent {
  readonly result: Refusal;
  readonly mode: ConstitutionMode;
}

/** Published on `hotpath:constitution:rotated` when another version becomes the active one. */
export interface RotatedEvent {
  readonly from: string;
  readonly to: string;
  readonly version: number;
}
