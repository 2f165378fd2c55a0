import { channel } from 'node:diagnostics_channel';
import { describe, expect, test } from 'vitest';
import { eventChannel } from '../../src/index.ts';

describe('eventChannel', () => {
  test('is named after package and event, and asking twice gives the same one', () => {
    const events = eventChannel<{ n: number }>('core-test', 'state-change');
    expect(events.name).toBe('hotpath:core-test:state-change');
    expect(eventChannel('core-test', 'state-change')).toBe(events);
  });

  test('tells whether anybody listens, and hands over events at once, untouched', () => {
    const events = eventChannel<{ n: number }>('core-test', 'heard');
    const seen: unknown[] = [];
    const listener = (event: unknown) => seen.push(event);
    expect(events.hasSubscribers).toBe(false);
    const named = channel('hotpath:core-test:heard');
    named.subscribe(listener);
    expect(events.hasSubscribers).toBe(true);
    const event = { n: 1 };
    events.publish(event);
    expect(seen).toEqual([event]);
    expect(seen[0]).toBe(event);
    named.unsubscribe(listener);
    expect(events.hasSubscribers).toBe(false);
  });

  test('a subscriber that throws does not reach the publisher', async () => {
    const events = eventChannel<{ n: number }>('core-test', 'thrown');
    const named = channel('hotpath:core-test:thrown');
    const bad = () => {
      throw new Error('bad subscriber');
    };
    const uncaught: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    named.subscribe(bad);
    try {
      expect(() => events.publish({ n: 1 })).not.toThrow();
      await new Promise((resolve) => setImmediate(resolve));
      expect(uncaught).toMatchObject([{ message: 'bad subscriber' }]);
    } finally {
      named.unsubscribe(bad);
      process.removeAllListeners('uncaughtException');
      for (const other of others) process.on('uncaughtException', other);
    }
  });
});
