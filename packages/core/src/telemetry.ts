import { channel } from 'node:diagnostics_channel';

/**
 * A named stream of events on `node:diagnostics_channel`.
 *
 * Build the event only when somebody listens: `if (channel.hasSubscribers) channel.publish({…})`.
 */
export interface EventChannel<Event extends object> {
  readonly name: string;
  /** Whether anybody listens. Cost: one property read. */
  readonly hasSubscribers: boolean;
  /** Hands the event to every subscriber, now. A subscriber that throws does not reach the publisher. */
  publish(event: Event): void;
}

/**
 * The channel `hotpath:<package>:<event>`; asking twice gives the same one.
 *
 * @example
 * const opened = eventChannel<{ readonly name: string }>('resilience', 'circuit-open');
 * if (opened.hasSubscribers) opened.publish({ name: 'search' });
 *
 * @param packageName The package without its scope: `cache`.
 * @param event The event in kebab case: `state-change`.
 */
export function eventChannel<Event extends object>(packageName: string, event: string): EventChannel<Event> {
  return channel(`hotpath:${packageName}:${event}`) as unknown as EventChannel<Event>;
}
