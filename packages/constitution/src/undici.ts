import { describe } from '@hotpath/core';
import type { Dispatcher } from 'undici';
import { Constitution } from './constitution.ts';
import { FINGERPRINT_HEADER, HASH_HEADER } from './internal/headers.ts';

type RequestHeaders = Dispatcher.DispatchOptions['headers'];

/**
 * Makes an interceptor that stamps every request that goes out; what the caller put there is replaced.
 *
 * @example
 * const dispatcher = new Agent().compose(constitutionInterceptor(constitution));
 *
 * @throws TypeError when `constitution` was not made by `createConstitution`.
 */
export function constitutionInterceptor(constitution: Constitution): Dispatcher.DispatcherComposeInterceptor {
  if (!(constitution instanceof Constitution)) {
    throw new TypeError(
      "constitutionInterceptor: argument 'constitution' must be what createConstitution made, itself and not in an object, " +
        `got ${describe(constitution)}`,
    );
  }
  return (dispatch) => (options, handler) =>
    dispatch({ ...options, headers: stamped(options.headers, constitution) }, handler);
}

/** A flat list of names and values, which undici takes as it is: the caller's, then ours. */
function stamped(headers: RequestHeaders, { active, fingerprint }: Constitution): string[] {
  const list: string[] = [];
  for (const [name, value] of pairs(headers)) {
    const lower = name.toLowerCase();
    if (lower === HASH_HEADER || lower === FINGERPRINT_HEADER || value === undefined || value === null)
      continue;
    if (Array.isArray(value)) for (const one of value) list.push(name, String(one));
    else list.push(name, String(value));
  }
  list.push(HASH_HEADER, active);
  if (fingerprint !== undefined) list.push(FINGERPRINT_HEADER, fingerprint);
  return list;
}

function* pairs(headers: RequestHeaders): Generator<readonly [string, unknown]> {
  if (headers === undefined || headers === null) return;
  if (Array.isArray(headers)) {
    for (let index = 0; index + 1 < headers.length; index += 2) {
      yield [String(headers[index]), headers[index + 1]];
    }
  } else if (Symbol.iterator in headers) {
    yield* headers as Iterable<readonly [string, unknown]>;
  } else {
    yield* Object.entries(headers);
  }
}
