import { describe, expectTypeOf, test } from 'vitest';
import {
  type Batcher,
  type BatcherOptions,
  batcher,
  type ErrorCode,
  type GatherMode,
  type GatherOptions,
  type GatherOutcome,
  type GatherResult,
  type GatherStreamOptions,
  gather,
  gatherStream,
  type HotpathError,
  isHotpathError,
  type LinkSignalsOptions,
  type OptionRange,
  optionReader,
  type SingleFlight,
  type SingleFlightOptions,
  type SleepOptions,
  singleFlight,
  TimeoutError,
  type TimerWheelOptions,
} from '../../src/index.ts';

const upper = async (item: string, { index }: { index: number }): Promise<number> => item.length + index;

describe('gather', () => {
  test('gives results by default and in mode settled, values in failFast, one value in any', () => {
    expectTypeOf(gather<string, number>).returns.toEqualTypeOf<Promise<GatherResult<number>[]>>();
    const outcomes = () => ({
      byDefault: gather(['a'], upper),
      withOptions: gather(['a'], upper, { concurrency: 2 }),
      settled: gather(['a'], upper, { mode: 'settled' }),
      failFast: gather(['a'], upper, { mode: 'failFast', concurrency: 2 }),
      any: gather(new Set(['a']), upper, { mode: 'any' }),
    });
    expectTypeOf(outcomes).returns.toEqualTypeOf<{
      byDefault: Promise<GatherResult<number>[]>;
      withOptions: Promise<GatherResult<number>[]>;
      settled: Promise<GatherResult<number>[]>;
      failFast: Promise<number[]>;
      any: Promise<number>;
    }>();
  });

  test('takes a mode that is known only at run time', () => {
    const byMode = (mode: GatherMode) => gather(['a'], upper, { mode });
    expectTypeOf(byMode).returns.toEqualTypeOf<Promise<GatherOutcome<GatherMode, number>>>();
  });

  test('takes a mode that may be absent, and then gives results', () => {
    const maybe = (mode: 'any' | undefined) => gather(['a'], upper, { mode });
    expectTypeOf(maybe).returns.toEqualTypeOf<Promise<number | GatherResult<number>[]>>();
    const absent = () => gather(['a'], upper, { mode: undefined });
    expectTypeOf(absent).returns.toEqualTypeOf<Promise<GatherResult<number>[]>>();
  });

  test('takes the item’s type from any kind of input, and synchronous workers', () => {
    const inputs = (items: AsyncIterable<{ id: string }>, pairs: Map<string, number>) => ({
      async: gather(items, (item) => item.id, { mode: 'failFast' }),
      map: gather(pairs, ([key, value]) => ({ key, value }), { mode: 'any' }),
    });
    expectTypeOf(inputs).returns.toEqualTypeOf<{
      async: Promise<string[]>;
      map: Promise<{ key: string; value: number }>;
    }>();
  });

  test('a result has a value where it is ok, and an error where it is not', () => {
    const look = (result: GatherResult<number>) => {
      if (result.status === 'ok') expectTypeOf(result.value).toBeNumber();
      else expectTypeOf(result.error).toBeUnknown();
      // @ts-expect-error a result that was not looked at may have no value
      result.value;
    };
    expectTypeOf(look).toBeFunction();
  });

  test('refuses options that it does not have', () => {
    // @ts-expect-error no such mode
    const mode = () => gather(['a'], upper, { mode: 'first' });
    // @ts-expect-error no such option
    const option = () => gather(['a'], upper, { concurency: 2 });
    // @ts-expect-error a stream has no mode
    const stream = () => gatherStream(['a'], upper, { mode: 'settled' });
    expectTypeOf({ mode, option, stream }).toBeObject();
  });
});

test('gatherStream yields results', () => {
  const stream = () => gatherStream(['a'], upper, { order: 'input' });
  expectTypeOf(stream).returns.toEqualTypeOf<AsyncGenerator<GatherResult<number>, void, void>>();
});

test('batcher takes its types from its loader', () => {
  const make = () => batcher((ids: readonly number[]) => ids.map(String), { key: (id) => id % 2 });
  expectTypeOf(make).returns.toEqualTypeOf<Batcher<number, string>>();
  expectTypeOf<Batcher<number, string>['load']>().returns.toEqualTypeOf<Promise<string>>();
});

test('singleFlight is typed by key and value', () => {
  const make = () => singleFlight<string, number>();
  expectTypeOf(make).returns.toEqualTypeOf<SingleFlight<string, number>>();
  // @ts-expect-error the work gives another type
  const wrong = (flights: SingleFlight<string, number>) => flights.run('a', () => 'one');
  expectTypeOf(wrong).toBeFunction();
});

test('codes are literal', () => {
  expectTypeOf(new TimeoutError('HOTPATH_DEADLINE', '').code).toEqualTypeOf<'HOTPATH_DEADLINE'>();
  // @ts-expect-error codes begin with HOTPATH_
  const wrong = () => new TimeoutError('DEADLINE', '');
  expectTypeOf(wrong).toBeFunction();
  const narrow = (error: unknown) => {
    if (isHotpathError(error)) expectTypeOf(error).toEqualTypeOf<HotpathError<ErrorCode>>();
  };
  expectTypeOf(narrow).toBeFunction();
});

test('every option may be undefined', () => {
  type Undefined<Options> = { readonly [Name in keyof Options]: undefined };
  expectTypeOf<Undefined<Required<GatherOptions>>>().toExtend<GatherOptions>();
  expectTypeOf<Undefined<Required<GatherStreamOptions>>>().toExtend<GatherStreamOptions>();
  expectTypeOf<Undefined<Required<BatcherOptions<string>>>>().toExtend<BatcherOptions<string>>();
  expectTypeOf<Undefined<Required<SingleFlightOptions>>>().toExtend<SingleFlightOptions>();
  expectTypeOf<Undefined<Required<LinkSignalsOptions>>>().toExtend<LinkSignalsOptions>();
  expectTypeOf<Undefined<Required<SleepOptions>>>().toExtend<SleepOptions>();
  expectTypeOf<Undefined<Required<TimerWheelOptions>>>().toExtend<TimerWheelOptions>();
  expectTypeOf<Undefined<Required<OptionRange>>>().toExtend<OptionRange>();
});

test('an option is what it may be, or its default', () => {
  const read = optionReader('make', {});
  expectTypeOf(read.number('a', undefined)).toEqualTypeOf<number | undefined>();
  expectTypeOf(read.integer('b', 1)).toEqualTypeOf<number>();
  expectTypeOf(read.oneOf('c', ['x', 'y'], 'x')).toEqualTypeOf<'x' | 'y'>();
});
