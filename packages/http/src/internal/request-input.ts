import { describe } from '@hotpath/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { HeaderInput, HttpBody, HttpMethod, HttpQuery, HttpRequest, TraceContext } from '../request.ts';
import { PRIORITY } from './waiter-queue.ts';

/**
 * What a caller gave for one request, checked.
 *
 * Every field is its own, so that nothing on `Object.prototype` can stand in for what was not given.
 */
export class RequestInput {
  url: string | URL = '';
  method: HttpMethod | undefined = undefined;
  headers: HeaderInput | undefined = undefined;
  query: HttpQuery | undefined = undefined;
  body: HttpBody | undefined = undefined;
  json: unknown = undefined;
  timeoutMs: number | undefined = undefined;
  attemptTimeoutMs: number | undefined = undefined;
  signal: AbortSignal | undefined = undefined;
  priority: number | undefined = undefined;
  idempotencyKey: string | undefined = undefined;
  retry: boolean | undefined = undefined;
  acceptStatus: ((status: number) => boolean) | undefined = undefined;
  coalesce: boolean | undefined = undefined;
  hedge: boolean | undefined = undefined;
  redirect: boolean | undefined = undefined;
  trace: TraceContext | undefined = undefined;
  maxResponseBytes: number | undefined = undefined;
  schema: StandardSchemaV1 | undefined = undefined;
}

/** Says what a value should have been; `undefined` when it is right. */
type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');
const number: Check = (value) => (typeof value === 'number' && !Number.isNaN(value) ? undefined : 'a number');
const anything: Check = () => undefined;

const CHECKS: ReadonlyMap<string, Check> = new Map<keyof RequestInput, Check>([
  ['headers', anything],
  ['query', (value) => (isObject(value) && !Array.isArray(value) ? undefined : 'an object')],
  ['body', bodyExpected],
  ['json', anything],
  ['timeoutMs', number],
  ['attemptTimeoutMs', number],
  ['signal', (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal')],
  ['priority', number],
  ['idempotencyKey', (value) => (typeof value === 'string' && value !== '' ? undefined : 'a string')],
  ['retry', flag],
  ['acceptStatus', (value) => (typeof value === 'function' ? undefined : 'a function')],
  ['coalesce', flag],
  ['hedge', flag],
  ['redirect', flag],
  ['trace', (value) => (isObject(value) ? undefined : 'an object')],
  ['maxResponseBytes', number],
  [
    'schema',
    (value) =>
      typeof (value as Partial<StandardSchemaV1>)?.['~standard']?.validate === 'function'
        ? undefined
        : 'a Standard Schema',
  ],
]);
const WHOLE_CHECKS: ReadonlyMap<string, Check> = new Map([
  ...CHECKS,
  [
    'url',
    (value: unknown) => (typeof value === 'string' || value instanceof URL ? undefined : 'a string or a URL'),
  ],
  ['method', (value: unknown) => (typeof value === 'string' ? undefined : 'a string')],
]);
const LEAST: readonly ['timeoutMs' | 'attemptTimeoutMs' | 'maxResponseBytes', number][] = [
  ['timeoutMs', 1],
  ['attemptTimeoutMs', 1],
  ['maxResponseBytes', 0],
];

function bodyExpected(value: unknown): string | undefined {
  const isBody =
    typeof value === 'string' ||
    ArrayBuffer.isView(value) ||
    value instanceof Blob ||
    (isObject(value) && Symbol.asyncIterator in value);
  return isBody ? undefined : 'a string, bytes, a Blob, a stream or an async iterable';
}

function read(owner: string, given: object, checks: ReadonlyMap<string, Check>): RequestInput {
  const input = new RequestInput();
  for (const name of Object.keys(given)) {
    const value = (given as Record<string, unknown>)[name];
    const check = checks.get(name);
    if (check === undefined) {
      const known = [...checks.keys()].sort().join(', ');
      throw new TypeError(`${owner}: unknown option '${name}'; known are ${known}`);
    }
    if (value === undefined) continue;
    const expected = check(value);
    if (expected !== undefined) {
      throw new TypeError(`${owner}: option '${name}' must be ${expected}, got ${describe(value)}`);
    }
    (input as unknown as Record<string, unknown>)[name] = value;
  }
  checkRanges(owner, input);
  return input;
}

function checkRanges(owner: string, input: RequestInput): void {
  for (const [name, least] of LEAST) {
    const value = input[name];
    if (value !== undefined && value < least) {
      throw new RangeError(`${owner}: option '${name}' must be at least ${least}, got ${value}`);
    }
  }
  const { priority } = input;
  if (
    priority !== undefined &&
    !(Number.isInteger(priority) && priority >= PRIORITY.min && priority <= PRIORITY.max)
  ) {
    throw new RangeError(`${owner}: option 'priority' must be a whole number from 0 to 9, got ${priority}`);
  }
}

/** Checks what was given beside a URL. @throws TypeError or RangeError naming what is wrong. */
export function readOptions(owner: string, given: unknown): RequestInput | undefined {
  if (given === undefined) return undefined;
  if (!isObject(given) || Array.isArray(given)) {
    throw new TypeError(`${owner}: options must be an object, got ${describe(given)}`);
  }
  return read(owner, given, CHECKS);
}

/** Checks a whole request, or a bare URL. @throws TypeError or RangeError naming what is wrong. */
export function readRequest(owner: string, given: HttpRequest | string): RequestInput {
  if (typeof given === 'string') {
    const input = new RequestInput();
    input.url = given;
    return input;
  }
  if (!isObject(given) || !Object.hasOwn(given, 'url')) {
    throw new TypeError(`${owner}: a request must be a URL as a string, or an object with a url`);
  }
  if (given.url === undefined) throw new TypeError(`${owner}: option 'url' must be a string or a URL`);
  return read(owner, given, WHOLE_CHECKS);
}
