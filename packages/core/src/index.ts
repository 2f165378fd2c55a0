export {
  type BatchContext,
  type Batcher,
  type BatcherOptions,
  type BatcherStats,
  type BatchLoader,
  batcher,
} from './batcher.ts';
export {
  type Clock,
  type Milliseconds,
  type RandomSource,
  seededRandom,
  systemClock,
  systemRandom,
  type TimerHandle,
} from './clock.ts';
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
export {
  GatherError,
  type GatherLimits,
  type GatherMode,
  type GatherOptions,
  type GatherOutcome,
  type GatherProgress,
  gather,
} from './gather.ts';
export type { GatherContext, GatherItems, GatherResult, GatherWorker } from './gather-run.ts';
export { type GatherStreamOptions, gatherStream } from './gather-stream.ts';
export { describe, type OptionRange, type OptionReader, optionReader } from './options.ts';
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
