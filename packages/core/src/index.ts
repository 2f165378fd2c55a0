export type { BatchContext, Batcher, BatcherOptions, BatcherStats, BatchLoader } from './batcher.ts';
export { batcher } from './batcher.ts';
export type { Clock, Milliseconds, RandomSource, TimerHandle } from './clock.ts';
export { seededRandom, systemClock, systemRandom } from './clock.ts';
export {
  AbortedError,
  CorruptError,
  type ErrorCode,
  type ErrorFamily,
  GovernanceError,
  HotpathError,
  type HotpathErrorOptions,
  isHotpathError,
  RejectedError,
  type RejectedErrorOptions,
  TimeoutError,
  UnavailableError,
  UpstreamError,
} from './errors.ts';
export { type GatherOutcome, gather } from './gather.ts';
export { GatherError, type GatherFailure } from './gather-error.ts';
export type { GatherContext, GatherItems, GatherResult, GatherWorker } from './gather-item.ts';
export type {
  GatherLimits,
  GatherMode,
  GatherOptions,
  GatherProgress,
  GatherStreamOptions,
} from './gather-options.ts';
export { gatherStream } from './gather-stream.ts';
export {
  describe,
  type OptionRange,
  type OptionReader,
  optionReader,
  type ResolvedOptions,
} from './options.ts';
export {
  abortable,
  deadlineError,
  type LinkedSignal,
  type LinkSignalsOptions,
  linkSignals,
  type SleepOptions,
  sleep,
} from './signals.ts';
export {
  type FlightContext,
  type FlightOptions,
  type SingleFlight,
  type SingleFlightOptions,
  singleFlight,
} from './single-flight.ts';
export { type EventChannel, eventChannel } from './telemetry.ts';
export { createTimerWheel, type TimerWheel, type TimerWheelOptions, WheelTimer } from './timer-wheel.ts';
export { TurnoverMap } from './turnover-map.ts';
