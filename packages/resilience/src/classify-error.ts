import { isHotpathError } from '@hotpath/core';
import type { Verdict } from './circuit-options.ts';

/**
 * What an error says about the dependency: nothing, when this library never let the call through or gave it up.
 *
 * `ignored` are errors of the families `rejected` and `aborted` and those of an open or isolated
 * breaker further in; everything else, timeouts included, is a failure. Never throws.
 *
 * @example
 * // What the service says is wrong with the request is no sign of its being ill.
 * const breaker = circuitBreaker({
 *   classifyError: (error) => (error instanceof InvalidRequest ? 'success' : classifyError(error)),
 * });
 */
export function classifyError(error: unknown): Verdict {
  if (!isHotpathError(error)) return 'failure';
  if (error.family === 'rejected' || error.family === 'aborted') return 'ignored';
  return error.code === 'HOTPATH_CIRCUIT_OPEN' || error.code === 'HOTPATH_CIRCUIT_ISOLATED'
    ? 'ignored'
    : 'failure';
}
