import { describe, optionReader } from '@hotpath/core';
import { type CheckResult, Constitution } from '../constitution.ts';
import { type Refusal, refusalBody } from '../errors.ts';
import { resolvePlace } from '../options.ts';
import { FINGERPRINT_HEADER, HASH_HEADER } from './headers.ts';
import type { Place } from './place.ts';

/** What the middlewares take. */
export interface InboundOptions {
  readonly constitution: Constitution;
  /** Whether the header `X-Constitutional-Hash` may bring the hash. Default true. */
  readonly header?: boolean | undefined;
  /**
   * The place in the parsed body that may bring the hash, as `checkMessage` takes it. Default: none does.
   * Where both may, one must come, and each that comes must be accepted.
   */
  readonly field?: Place | undefined;
  /** Routes that need no hash, such as `/health`: compared whole, never as a prefix. Default none. */
  readonly exempt?: readonly string[] | undefined;
}

export interface ResolvedInboundOptions {
  readonly constitution: Constitution;
  readonly header: boolean;
  readonly field: Place | undefined;
  readonly exempt: ReadonlySet<string>;
}

export function resolveInboundOptions(owner: string, options: InboundOptions): ResolvedInboundOptions {
  const read = optionReader(owner, options);
  const constitution = read.any('constitution');
  const header = read.boolean('header', true);
  const given = read.any('field');
  const exempt = read.any('exempt') ?? [];
  read.end();
  if (!(constitution instanceof Constitution)) {
    throw new TypeError(`${owner}: option 'constitution' must be made by createConstitution`);
  }
  if (!Array.isArray(exempt) || exempt.some((route) => typeof route !== 'string' || !route.startsWith('/'))) {
    throw new TypeError(
      `${owner}: option 'exempt' must be a list of routes that begin with '/', got ${describe(exempt)}`,
    );
  }
  const field = given === undefined ? undefined : resolvePlace(given, `${owner}: option 'field'`);
  if (!header && field === undefined) {
    throw new TypeError(`${owner}: option 'field' is needed where option 'header' is false`);
  }
  return Object.freeze({ constitution, header, field, exempt: new Set<string>(exempt) });
}

/** The result for a request whose body was parsed. */
export function checkInbound(
  { constitution, header, field }: ResolvedInboundOptions,
  headers: Readonly<Record<string, unknown>>,
  body: unknown,
): CheckResult {
  if (field === undefined) return constitution.checkHeaders(headers);
  const hasHeader = Object.hasOwn(headers, HASH_HEADER) || Object.hasOwn(headers, FINGERPRINT_HEADER);
  if (!header || !hasHeader) return constitution.checkMessage(body, field);
  const result = constitution.checkHeaders(headers);
  if (result !== 'ok' || !constitution.hasMessageValue(body, field)) return result;
  return constitution.checkMessage(body, field);
}

/** The text of a 403, its type and its length. */
export function refusalText(result: Refusal): string {
  return JSON.stringify(refusalBody(result));
}

export const REFUSAL_TYPE = 'application/json; charset=utf-8';
