import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { createConstitution, fingerprint } from '../../src/index.ts';

const OLD = fingerprint('version 1');
const NEW = fingerprint('version 2');
const NEXT = fingerprint('version 3');
const MINUTE = 60_000;

describe('rotation', () => {
  it('opens and closes windows by the clock, not by calls', async () => {
    const clock = createVirtualClock();
    const now = clock.wallTime();
    const constitution = createConstitution({
      active: OLD,
      until: now + 30 * MINUTE,
      accepted: [
        {
          fingerprint: NEW,
          version: 2,
          from: now + 10 * MINUTE,
          activeFrom: now + 20 * MINUTE,
          until: 'never',
        },
      ],
      clock,
    });
    const state = (): unknown[] => [
      constitution.active,
      constitution.check(OLD.short),
      constitution.check(NEW.short),
    ];
    expect(state()).toEqual([OLD.short, 'ok', 'not-yet-valid']);
    await clock.advance(10 * MINUTE - 1);
    expect(state()).toEqual([OLD.short, 'ok', 'not-yet-valid']);
    await clock.advance(1);
    expect(state()).toEqual([OLD.short, 'ok', 'ok']);
    await clock.advance(10 * MINUTE);
    expect(state()).toEqual([NEW.short, 'ok', 'ok']);
    expect(constitution.fingerprint).toBe(NEW.toString());
    await clock.advance(10 * MINUTE);
    expect(state()).toEqual([NEW.short, 'retired', 'ok']);
    expect(constitution.stats().rotations).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('accepts from acceptFrom, stamps from activateAt, and retires the old one after the grace', async () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, clock });
    const events: unknown[] = [];
    const listen = (event: unknown): void => {
      events.push(event);
    };
    subscribe('hotpath:constitution:rotated', listen);
    constitution.rotate({ to: NEW, activateAt: clock.wallTime() + MINUTE, graceMs: 2 * MINUTE });
    expect(constitution.check(NEW.short)).toBe('ok');
    expect(constitution.stamp({})).toMatchObject({ 'x-constitutional-hash': OLD.short });
    await clock.advance(MINUTE);
    expect(constitution.stamp({})).toMatchObject({ 'x-constitutional-hash': NEW.short });
    expect(constitution.version).toBe(2);
    await clock.advance(2 * MINUTE - 1);
    expect(constitution.check(OLD.short)).toBe('ok');
    await clock.advance(1);
    expect(constitution.check(OLD.short)).toBe('retired');
    unsubscribe('hotpath:constitution:rotated', listen);
    expect(events).toEqual([{ from: OLD.short, to: NEW.short, version: 2 }]);
  });

  it('lets versions only go up, unless forced', () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, version: 5, clock });
    const rollback = expect.objectContaining({ code: 'HOTPATH_CONSTITUTION_ROLLBACK' });
    expect(() => constitution.rotate({ to: NEW, version: 5 })).toThrow(rollback);
    expect(() => constitution.rotate({ to: NEW, version: 4 })).toThrow(rollback);
    constitution.rotate({ to: NEW });
    expect(constitution.version).toBe(6);
    expect(() => constitution.rotate({ to: OLD })).toThrow(rollback);
    expect(constitution.active).toBe(NEW.short);
    constitution.rotate({ to: OLD, force: true });
    expect([constitution.active, constitution.version]).toEqual([OLD.short, 5]);
    expect(constitution.check(NEW.short)).toBe('ok');
  });

  it('stamps a forced version at once, in whichever millisecond', () => {
    const constitution = createConstitution({ active: OLD, clock: createVirtualClock() });
    constitution.rotate({ to: NEW });
    constitution.rotate({ to: OLD, force: true });
    expect([constitution.active, constitution.version]).toEqual([OLD.short, 1]);
  });

  it('stamps a version whose moment is past already', () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, clock });
    constitution.rotate({ to: NEW });
    constitution.rotate({ to: NEXT, activateAt: clock.wallTime() - MINUTE });
    expect([constitution.active, constitution.version]).toEqual([NEXT.short, 3]);
  });

  it('never goes back to a version that was planned before and for later', async () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, clock });
    constitution.rotate({ to: NEW, activateAt: clock.wallTime() + 10 * MINUTE, graceMs: MINUTE });
    constitution.rotate({ to: NEXT, activateAt: clock.wallTime() + 5 * MINUTE, graceMs: MINUTE });
    await clock.advance(5 * MINUTE);
    expect([constitution.active, constitution.check(NEW.short)]).toEqual([NEXT.short, 'ok']);
    await clock.advance(10 * MINUTE);
    expect([constitution.active, constitution.check(NEW.short)]).toEqual([NEXT.short, 'retired']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('changes nothing when it is refused', () => {
    const clock = createVirtualClock();
    const accepted = Array.from({ length: 999 }, (_, index) => ({
      fingerprint: fingerprint(`accepted ${index}`),
      until: 'never' as const,
    }));
    const constitution = createConstitution({ active: OLD, accepted, clock });
    const before = constitution.versions;
    expect(() => constitution.rotate({ to: NEW })).toThrow('more than 1000 versions');
    const twin = NEW.toString().replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    const known = createConstitution({ active: NEW, clock });
    expect(() => known.rotate({ to: twin, version: 2 })).toThrow('of another version');
    expect([constitution.versions, constitution.active, known.fingerprint]).toEqual([
      before,
      OLD.short,
      NEW.toString(),
    ]);
  });

  it('never lengthens an end that was said before', () => {
    const clock = createVirtualClock();
    const until = clock.wallTime() + MINUTE;
    const constitution = createConstitution({ active: OLD, until, clock });
    constitution.rotate({ to: NEW, graceMs: 10 * MINUTE });
    expect(constitution.versions.find(({ hash }) => hash === OLD.short)?.untilMs).toBe(until);
  });

  it('accepts nothing once the active version is over', async () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, until: clock.wallTime() + MINUTE, clock });
    await clock.advance(MINUTE);
    expect(constitution.check(OLD.short)).toBe('retired');
    expect(constitution.checkHeaders({ 'x-constitutional-hash': OLD.short })).toBe('retired');
    expect(constitution.check(undefined)).toBe('missing');
  });

  it('notices a wall clock that was set, within a minute', async () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, until: clock.wallTime() + 600 * MINUTE, clock });
    clock.shiftWallTime(600 * MINUTE);
    await clock.advance(MINUTE);
    expect(constitution.check(OLD.short)).toBe('retired');
  });

  it('does not open a window early when the wall clock is set back', async () => {
    const clock = createVirtualClock();
    const from = clock.wallTime() + 2 * MINUTE;
    const constitution = createConstitution({
      active: OLD,
      accepted: [{ fingerprint: NEW, from, until: 'never' }],
      clock,
    });
    await clock.advance(MINUTE);
    clock.shiftWallTime(-10 * MINUTE);
    await clock.advance(2 * MINUTE);
    expect(constitution.check(NEW.short)).toBe('not-yet-valid');
    await clock.advance(9 * MINUTE);
    expect(constitution.check(NEW.short)).toBe('ok');
  });

  it('remembers at most 1,000 versions, and forgets the oldest that are over', async () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, clock });
    for (let version = 2; version <= 1_100; version++) {
      constitution.rotate({ to: fingerprint(`version ${version}`), graceMs: 0 });
      await clock.advance(0);
    }
    expect(constitution.versions).toHaveLength(1_000);
    expect(constitution.check(OLD.short)).toBe('unknown');
    expect(constitution.check(fingerprint('version 1099').short)).toBe('retired');
  });

  it('refuses wrong options, and everything after close', () => {
    const clock = createVirtualClock();
    const constitution = createConstitution({ active: OLD, until: clock.wallTime() + 1, clock });
    expect(() => constitution.rotate({ to: 'x' })).toThrow("option 'to' must be");
    expect(() => constitution.rotate({ to: NEW, graceMs: -1 })).toThrow("option 'graceMs'");
    expect(() => constitution.rotate({ to: NEW, until: 0 })).toThrow("option 'until' must be later");
    constitution.close();
    expect(clock.pendingTimers).toBe(0);
    expect(() => constitution.rotate({ to: NEW })).toThrow(
      expect.objectContaining({ code: 'HOTPATH_CONSTITUTION_CLOSED' }),
    );
  });

  it('rotates three nodes with differing clocks twice, and no node refuses what another stamps', async () => {
    const clock = createVirtualClock();
    const skewsMs = [-4_000, 0, 4_000];
    const nodes = skewsMs.map((skewMs) =>
      createConstitution({ active: OLD, clock: { ...clock, wallTime: () => clock.wallTime() + skewMs } }),
    );
    const refused: unknown[] = [];
    const everyNodeCallsEveryOther = (): void => {
      for (const [from, sender] of nodes.entries()) {
        for (const [to, receiver] of nodes.entries()) {
          const result = receiver.checkHeaders(sender.stamp({}));
          if (result !== 'ok') refused.push({ from, to, result, at: clock.now() });
        }
      }
    };
    const pass = async (ms: number): Promise<void> => {
      for (let elapsed = 0; elapsed < ms; elapsed += 500) {
        await clock.advance(500);
        everyNodeCallsEveryOther();
      }
    };
    for (const to of [NEW, NEXT]) {
      const activateAt = clock.wallTime() + 60_000;
      // Nodes learn of it one after the other.
      for (const node of nodes) {
        node.rotate({ to, acceptFrom: 0, activateAt, graceMs: 30_000 });
        await pass(15_000);
      }
      await pass(120_000);
      expect(nodes.map((node) => node.active)).toEqual([to.short, to.short, to.short]);
    }
    expect(refused).toEqual([]);
    expect(nodes.map((node) => node.check(NEW.short))).toEqual(['retired', 'retired', 'retired']);
  });
});
