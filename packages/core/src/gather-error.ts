import { type ErrorFamily, type HotpathErrorOptions, hotpathErrorBrand } from './errors.ts';

/** One item that failed, and with what. */
export interface GatherFailure {
  readonly index: number;
  readonly error: unknown;
}

const MOST_NAMED = 10;

/** Why a gather failed; `errors[i]` is what item `indices[i]` failed with, `cause` what failed first. */
export class GatherError extends AggregateError {
  static {
    this.prototype.name = 'GatherError';
    Object.defineProperty(this.prototype, hotpathErrorBrand, { value: true });
  }

  /** `HOTPATH_GATHER_FAILED`: an item failed in mode `failFast`; `HOTPATH_GATHER_NONE`: none succeeded in mode `any`. */
  readonly code: 'HOTPATH_GATHER_FAILED' | 'HOTPATH_GATHER_NONE';
  /** The positions of the failed items, ascending. */
  readonly indices: readonly number[];

  constructor(
    code: GatherError['code'],
    message: string,
    failures: readonly GatherFailure[],
    options?: HotpathErrorOptions,
  ) {
    const ordered = [...failures].sort((a, b) => a.index - b.index);
    super(
      ordered.map((failure) => failure.error),
      message,
      options,
    );
    this.code = code;
    this.indices = ordered.map((failure) => failure.index);
  }

  get family(): Extract<ErrorFamily, 'upstream'> {
    return 'upstream';
  }
}

/** The error of a gather whose item failed; `failures` in the order in which they happened. */
export function failedGather(failures: readonly GatherFailure[]): GatherError {
  const indices = failures.map((failure) => failure.index).sort((a, b) => a - b);
  const named = indices.slice(0, MOST_NAMED).join(', ');
  const rest = indices.length > MOST_NAMED ? ` and ${indices.length - MOST_NAMED} more` : '';
  const message = `${indices.length === 1 ? 'item' : 'items'} ${named}${rest} failed`;
  return new GatherError('HOTPATH_GATHER_FAILED', message, failures, { cause: failures[0]?.error });
}

/** The error of a gather none of whose items succeeded. */
export function fruitlessGather(failures: readonly GatherFailure[]): GatherError {
  const options = failures.length === 0 ? undefined : { cause: failures[0]?.error };
  const message = `none of ${failures.length} items succeeded`;
  return new GatherError('HOTPATH_GATHER_NONE', message, failures, options);
}
