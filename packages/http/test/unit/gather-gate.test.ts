import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { GatherGate } from '../../src/internal/gather-gate.ts';

function open(places: number, mostParked: number) {
  const clock = createVirtualClock();
  const gate = new GatherGate(places, mostParked, clock);
  const begin = (key: string, count: number): void => {
    for (let index = 0; index < count; index++) gate.begin(key);
  };
  return { clock, gate, begin };
}

describe('the gate of a gather', () => {
  it('has room for as many items as there are places', () => {
    const { gate, begin } = open(3, 10);
    begin('a', 2);
    expect(gate.hasRoom).toBe(true);
    begin('b', 1);
    expect(gate.hasRoom).toBe(false);
    gate.end('a');
    expect(gate.hasRoom).toBe(true);
  });

  it('stops counting the items of an origin after 250 ms without progress', async () => {
    const { clock, gate, begin } = open(3, 10);
    begin('stuck', 3);
    await clock.advance(249);
    expect(gate.hasRoom).toBe(false);
    await clock.advance(1);
    expect(gate.hasRoom).toBe(true);
    gate.end('stuck');
    begin('stuck', 1);
    expect(gate.hasRoom).toBe(false);
  });

  it('counts the items of an origin that answers, however slowly it began', async () => {
    const { clock, gate, begin } = open(2, 10);
    begin('slow', 3);
    await clock.advance(200);
    gate.end('slow');
    await clock.advance(200);
    expect(gate.hasRoom).toBe(false);
  });

  it('begins to measure anew when an origin has nothing under way', async () => {
    const { clock, gate, begin } = open(2, 10);
    begin('a', 2);
    gate.end('a');
    gate.end('a');
    await clock.advance(1_000);
    begin('a', 2);
    expect(gate.hasRoom).toBe(false);
  });

  it('parks no more items than it may', async () => {
    const { clock, gate, begin } = open(3, 2);
    begin('stuck', 3);
    await clock.advance(250);
    expect(gate.hasRoom).toBe(true);
    begin('stuck', 2);
    await clock.advance(250);
    expect(gate.hasRoom).toBe(false);
    gate.end('stuck');
    await clock.advance(250);
    expect(gate.hasRoom).toBe(true);
  });

  it('calls whoever waits when an item ends, once', () => {
    const { gate, begin } = open(1, 10);
    let calls = 0;
    begin('a', 1);
    gate.whenRoom(() => calls++);
    expect(calls).toBe(0);
    gate.end('a');
    begin('a', 1);
    gate.end('a');
    expect(calls).toBe(1);
  });

  it('calls whoever waits when an origin has made no progress, without an event of its own', async () => {
    const { clock, gate, begin } = open(1, 10);
    let calls = 0;
    begin('stuck', 1);
    gate.whenRoom(() => calls++);
    await clock.advance(240);
    expect(calls).toBe(0);
    await clock.advance(80);
    expect(calls).toBe(1);
  });

  it('calls nobody after its end', async () => {
    const { clock, gate, begin } = open(1, 10);
    let calls = 0;
    begin('stuck', 1);
    gate.whenRoom(() => calls++);
    gate.close();
    await clock.advance(1_000);
    gate.end('stuck');
    expect(calls).toBe(0);
  });
});
