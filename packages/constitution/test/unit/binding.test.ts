import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createVirtualClock } from '@hotpath/core/testing';
import { describe, expect, it } from 'vitest';
import { createBinding } from '../../src/index.ts';

const HASH = 'cdd01ef066bc6cf2';
const WHOLE = 'sha256:raw:cdd01ef066bc6cf21ad294837e232073d8d1f07aa8a1c36da2aae997a3231a0f';
const content = { fingerprint: WHOLE, body: '{"a":1}' };

describe('a binding', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const secret = randomBytes(32);

  it.each([
    ['a shared secret', secret, secret],
    ['an Ed25519 key', privateKey, publicKey],
  ])('by %s proves sender, fingerprint and body, once', (_, making, verifying) => {
    const clock = createVirtualClock();
    const sender = createBinding({ key: making, clock });
    const receiver = createBinding({ key: verifying, clock });
    const value = sender.make(content);
    expect(receiver.verify(value, { ...content, body: '{"a":2}' })).toBe('forged');
    expect(receiver.verify(value, { ...content, fingerprint: HASH })).toBe('forged');
    expect(receiver.verify(value, content)).toBe('ok');
    expect(receiver.verify(value, content)).toBe('replayed');
    expect(receiver.verify(sender.make({ fingerprint: HASH }), { fingerprint: HASH })).toBe('ok');
    expect(createBinding({ key: randomBytes(32), clock }).verify(value, content)).toBe('forged');
  });

  it('counts only within its window, whichever way the clocks differ', async () => {
    const clock = createVirtualClock();
    const binding = createBinding({ key: secret, windowMs: 1_000, clock });
    const value = binding.make(content);
    clock.shiftWallTime(1_001);
    expect(binding.verify(value, content)).toBe('stale');
    clock.shiftWallTime(-2_002);
    expect(binding.verify(value, content)).toBe('stale');
    clock.shiftWallTime(1);
    expect(binding.verify(value, content)).toBe('ok');
    for (let ms = 0; ms < 2_000; ms += 100) {
      clock.shiftWallTime(100);
      expect(binding.verify(value, content)).toBe('replayed');
    }
    clock.shiftWallTime(1);
    expect(binding.verify(value, content)).toBe('stale');
  });

  it('does not count twice when the clock jumped ahead and back', () => {
    const clock = createVirtualClock();
    const binding = createBinding({ key: secret, windowMs: 1_000, clock });
    const value = binding.make(content);
    expect(binding.verify(value, content)).toBe('ok');
    clock.shiftWallTime(60_000);
    expect(binding.verify(binding.make(content), content)).toBe('ok');
    clock.shiftWallTime(-60_000);
    expect(binding.verify(value, content)).toBe('stale');
    clock.shiftWallTime(1);
    expect(binding.verify(binding.make(content), content)).toBe('ok');
  });

  it('admits no more than it can remember, and goes on when that is over', () => {
    const clock = createVirtualClock();
    const binding = createBinding({ key: secret, windowMs: 1_000, maxRemembered: 2, clock });
    const results = [1, 2, 3].map(() => binding.verify(binding.make(content), content));
    expect(results).toEqual(['ok', 'ok', 'full']);
    clock.shiftWallTime(2_001);
    expect(binding.verify(binding.make(content), content)).toBe('ok');
  });

  it.each([undefined, null, '', 'v1', 1, ['v1;t=1;n=a;s=b'], 'v1;t=1;n=AAAAAAAAAAAAAAAAAAAAAA;s=A'])(
    'refuses %j without throwing',
    (value) => {
      expect(createBinding({ key: secret }).verify(value, content)).toBe(
        value == null ? 'missing' : 'malformed',
      );
    },
  );

  it('has one text for one signature', () => {
    const binding = createBinding({ key: secret });
    const value = binding.make(content);
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = digits.indexOf(value.at(-1) as string);
    expect(binding.verify(value.slice(0, -1) + digits[last ^ 1], content)).toBe('malformed');
  });

  it('refuses keys that are too short, of another kind, or can only verify', () => {
    expect(() => createBinding({ key: randomBytes(31) })).toThrow('at least 32 bytes');
    expect(() => createBinding({ key: 'secret' as never })).toThrow(
      "option 'key' must be a KeyObject or bytes",
    );
    const { publicKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    expect(() => createBinding({ key: rsa })).toThrow('must be a secret or an Ed25519 key');
    expect(() => createBinding({ key: publicKey }).make(content)).toThrow('a public key only verifies');
  });
});
