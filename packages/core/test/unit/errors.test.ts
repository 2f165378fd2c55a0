import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  AbortedError,
  CorruptError,
  GatherError,
  GovernanceError,
  HotpathError,
  isHotpathError,
  RejectedError,
  TimeoutError,
  UnavailableError,
  UpstreamError,
} from '../../src/index.ts';

const families = [
  [TimeoutError, 'TimeoutError', 'timeout'],
  [AbortedError, 'AbortedError', 'aborted'],
  [RejectedError, 'RejectedError', 'rejected'],
  [UnavailableError, 'UnavailableError', 'unavailable'],
  [UpstreamError, 'UpstreamError', 'upstream'],
  [CorruptError, 'CorruptError', 'corrupt'],
  [GovernanceError, 'GovernanceError', 'governance'],
] as const;

describe('errors', () => {
  test.each(families)('%o carries its name, code, family, message and cause', (Class, name, family) => {
    const cause = new Error('below');
    const error = new Class('HOTPATH_TEST', 'it broke', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(HotpathError);
    expect(error).toMatchObject({ name, family, code: 'HOTPATH_TEST', message: 'it broke', cause });
    expect(isHotpathError(error)).toBe(true);
    expect(inspect(error)).toContain(`${name}: it broke`);
  });

  test('an error without a cause has no cause property', () => {
    expect('cause' in new TimeoutError('HOTPATH_TEST', 'late')).toBe(false);
  });

  test.each([RejectedError, UnavailableError])('%o tells when another try may help, 0 included', (Class) => {
    expect(new Class('HOTPATH_TEST', 'no', { retryAfterMs: 0 }).retryAfterMs).toBe(0);
    expect(new Class('HOTPATH_TEST', 'no').retryAfterMs).toBeUndefined();
  });

  test('isHotpathError with a code takes exactly that code', () => {
    const error: unknown = new TimeoutError('HOTPATH_DEADLINE', 'late');
    expect(isHotpathError(error, 'HOTPATH_DEADLINE')).toBe(true);
    expect(isHotpathError(error, 'HOTPATH_OTHER')).toBe(false);
    if (isHotpathError(error, 'HOTPATH_DEADLINE'))
      expectTypeOf(error.code).toEqualTypeOf<'HOTPATH_DEADLINE'>();
  });

  test.each([undefined, null, 0, 'HOTPATH_X', {}, new Error('plain'), { code: 'HOTPATH_X' }, () => {}])(
    'isHotpathError refuses %o',
    (value) => {
      expect(isHotpathError(value)).toBe(false);
    },
  );

  test('a gather error is recognised too', () => {
    const error = new GatherError('HOTPATH_GATHER_FAILED', 'item 1 failed', []);
    expect(isHotpathError(error, 'HOTPATH_GATHER_FAILED')).toBe(true);
    expect(error).toMatchObject({ name: 'GatherError', family: 'upstream' });
  });

  test('two copies of the module recognise each other by brand, where instanceof does not', async () => {
    const url = new URL('../../dist/index.js', import.meta.url).href;
    const first = await import(/* @vite-ignore */ `${url}?copy=1`);
    const second = await import(/* @vite-ignore */ `${url}?copy=2`);
    const error = new first.TimeoutError('HOTPATH_DEADLINE', 'late');
    expect(first.TimeoutError).not.toBe(second.TimeoutError);
    expect(error).not.toBeInstanceOf(second.HotpathError);
    expect(second.isHotpathError(error, 'HOTPATH_DEADLINE')).toBe(true);
    expect(second.isHotpathError(new first.GatherError('HOTPATH_GATHER_NONE', 'none', []))).toBe(true);
  });
});
