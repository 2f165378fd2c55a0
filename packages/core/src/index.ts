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
