import { type EventChannel, eventChannel, type Milliseconds } from '@hotpath/core';

/** `hotpath:http:request`: a request is over, with all its tries; once for those that share an exchange. */
export interface HttpRequestEvent {
  readonly method: string;
  readonly origin: string;
  /** Without the query. */
  readonly path: string;
  /** The last status; `undefined` when no head came. */
  readonly status: number | undefined;
  /** Why it failed; `undefined` when it did not. */
  readonly error: unknown;
  readonly attempts: number;
  readonly queuedMs: Milliseconds;
  readonly totalMs: Milliseconds;
  /** What was sent as `traceparent`; `undefined` when nothing was. */
  readonly traceparent: string | undefined;
}

/** `hotpath:http:retry`: a failed try will be followed by another. */
export interface HttpRetryEvent {
  readonly method: string;
  readonly origin: string;
  /** The try that failed, from 1. */
  readonly attempt: number;
  readonly error: unknown;
  readonly pauseMs: Milliseconds;
}

/** `hotpath:http:replay`: a request went out again at once, because its connection had died unnoticed. */
export interface HttpReplayEvent {
  readonly method: string;
  readonly origin: string;
  /** `stale`: the socket was closed while idle; `not-processed`: the server said so; `not-sent`: nothing was written. */
  readonly reason: 'stale' | 'not-processed' | 'not-sent';
}

/** `hotpath:http:hedge`: a second try started beside a slow first. */
export interface HttpHedgeEvent {
  readonly method: string;
  readonly origin: string;
  readonly delayMs: Milliseconds;
}

/** `hotpath:http:connect`: a connection of our own was made, or could not be. */
export interface HttpConnectEvent {
  readonly origin: string;
  /** `undefined` when there is none. */
  readonly protocol: 'http/1.1' | 'h2' | undefined;
  readonly durationMs: Milliseconds;
  /** Why not, as the platform has it; `undefined` when there is one. */
  readonly error: unknown;
}

/** `hotpath:http:eject`: one of several base URLs gets no requests for a while. */
export interface HttpEjectEvent {
  readonly origin: string;
  readonly ejectedMs: Milliseconds;
}

export const requestChannel: EventChannel<HttpRequestEvent> = eventChannel('http', 'request');
export const retryChannel: EventChannel<HttpRetryEvent> = eventChannel('http', 'retry');
export const replayChannel: EventChannel<HttpReplayEvent> = eventChannel('http', 'replay');
export const hedgeChannel: EventChannel<HttpHedgeEvent> = eventChannel('http', 'hedge');
export const connectChannel: EventChannel<HttpConnectEvent> = eventChannel('http', 'connect');
export const ejectChannel: EventChannel<HttpEjectEvent> = eventChannel('http', 'eject');
