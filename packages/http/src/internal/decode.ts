import type { StandardSchemaV1 } from '@standard-schema/spec';
import { HttpCorruptError, type HttpErrorDetails } from '../errors.ts';
import { HttpResponse, jsonOf } from '../response.ts';
import type { CallSpec, Decode } from './call-spec.ts';

export const asResponse: Decode = (status, headers, bytes, attempts) =>
  new HttpResponse(status, headers, bytes, attempts);

/** @throws SyntaxError */
export const asJson: Decode = (_status, _headers, bytes) => jsonOf(bytes);

/** What the caller asked for, made of an answer. @throws HttpCorruptError (HOTPATH_HTTP_BAD_BODY) */
export function decodeAnswer(
  { decode }: CallSpec,
  { status, headers, bytes, attempts }: HttpResponse,
  details: HttpErrorDetails,
): unknown {
  try {
    return decode?.(status, headers, bytes, attempts);
  } catch (error) {
    throw notJson(error, details);
  }
}

export function notJson(error: unknown, details: HttpErrorDetails): HttpCorruptError {
  return new HttpCorruptError('HOTPATH_HTTP_BAD_BODY', 'the body is not JSON', { ...details, cause: error });
}

/** What the schema makes of a value. @throws HttpCorruptError (HOTPATH_HTTP_SCHEMA) when it does not fit. */
export async function validate(
  schema: StandardSchemaV1,
  value: unknown,
  details: HttpErrorDetails,
): Promise<unknown> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await schema['~standard'].validate(value);
  } catch (error) {
    throw new HttpCorruptError('HOTPATH_HTTP_SCHEMA', 'the schema itself failed', {
      ...details,
      cause: error,
    });
  }
  const { issues } = result;
  if (issues === undefined) return result.value;
  const [first] = issues;
  const path = first?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  const where = path === undefined || path === '' ? '' : ` at '${path}'`;
  const message = `the body does not fit the schema${where}: ${first?.message ?? 'no reason given'}`;
  throw new HttpCorruptError('HOTPATH_HTTP_SCHEMA', message, { ...details, cause: { issues } });
}
