import {
  createHmac,
  createSecretKey,
  KeyObject,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import { type Clock, describe, type Milliseconds, optionReader, systemClock } from '@hotpath/core';
import { contentDigest } from './digest.ts';
import type { Fingerprint } from './fingerprint.ts';
import { identify } from './internal/versions.ts';

/** Carries a binding. */
export const BINDING_HEADER = 'constitution-binding';

/**
 * What the verification of a binding found.
 *
 * - `ok`: made by a holder of the key, over this fingerprint and body, within the window, and not seen before.
 * - `stale`: too old, or from too far in the future. `replayed`: seen before.
 * - `forged`: not made by a holder of the key, or for another fingerprint or body.
 * - `full`: `maxRemembered` bindings are remembered, so that a replay could not be noticed.
 */
export type BindingResult = 'ok' | 'missing' | 'malformed' | 'stale' | 'forged' | 'replayed' | 'full';

/** What a binding is over. */
export interface BoundContent {
  /** 16 hex digits, or a whole fingerprint: as it is sent. */
  readonly fingerprint: string | Fingerprint;
  /** The body; empty where there is none. */
  readonly body?: string | Uint8Array;
}

/** What {@link createBinding} takes. */
export interface BindingOptions {
  /** A secret of at least 32 bytes (HMAC-SHA-256), or an Ed25519 key: private to make bindings, public to verify them. */
  readonly key: KeyObject | Uint8Array;
  /** How far a binding's time may be from now, either way. Default 30,000. */
  readonly windowMs?: Milliseconds | undefined;
  /** How many bindings are remembered, so that none counts twice. Default 100,000. */
  readonly maxRemembered?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Proves that work was sent by a holder of a key, under a fingerprint and with a body. */
export interface Binding {
  /**
   * A value for the header `Constitution-Binding`.
   *
   * @throws TypeError when the key is a public one.
   */
  make(content: BoundContent): string;
  /** Checks such a value; signatures are compared in constant time. Never throws for what was sent. */
  verify(value: unknown, content: BoundContent): BindingResult;
}

const FORM = /^v1;t=(\d{1,16});n=([A-Za-z0-9_-]{22});s=([A-Za-z0-9_-]{43,86})$/;

/**
 * Makes and verifies bindings: signatures over fingerprint, time, a number used once and the body's digest (RFC 9530).
 *
 * The constitutional hash itself is public and proves nothing of its sender; this does, for who shares the key.
 *
 * @throws TypeError or RangeError when an option is wrong.
 */
export function createBinding(options: BindingOptions): Binding {
  const read = optionReader('createBinding', options);
  const key = resolveKey(read.any('key'));
  const windowMs = read.number('windowMs', 30_000, { min: 1, max: 86_400_000 });
  const maxRemembered = read.integer('maxRemembered', 100_000, { min: 1 });
  const clock = read.object<Clock>('clock', systemClock, ['wallTime']);
  read.end();
  /** When each number may be forgotten; in the order in which they came. */
  const remembered = new Map<string, { readonly timeMs: Milliseconds; readonly untilMs: Milliseconds }>();
  /** The newest time of what was forgotten: when the clock is set back, it must not count again. */
  let forgottenUpToMs = Number.NEGATIVE_INFINITY;

  const signed = (text: string): Buffer =>
    key.type === 'secret'
      ? createHmac('sha256', key).update(text).digest()
      : sign(null, Buffer.from(text), key);

  const isGenuine = (text: string, signature: Buffer): boolean => {
    if (key.type !== 'secret') return verify(null, Buffer.from(text), key, signature);
    const expected = signed(text);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  };

  const forget = (nowMs: Milliseconds): void => {
    for (const [nonce, { timeMs, untilMs }] of remembered) {
      if (untilMs >= nowMs) return;
      remembered.delete(nonce);
      forgottenUpToMs = Math.max(forgottenUpToMs, timeMs);
    }
  };

  return {
    make: (content) => {
      if (key.type === 'public') throw new TypeError('createBinding: a public key only verifies');
      const time = String(Math.floor(clock.wallTime()));
      const nonce = randomBytes(16).toString('base64url');
      return `v1;t=${time};n=${nonce};s=${signed(signedText(content, time, nonce)).toString('base64url')}`;
    },
    verify: (value, content) => {
      if (value === undefined || value === null) return 'missing';
      const match = typeof value === 'string' ? FORM.exec(value) : null;
      if (match === null) return 'malformed';
      const [, time, nonce, text] = match as unknown as [string, string, string, string];
      const signature = Buffer.from(text, 'base64url');
      // Spare bits of the last digit would give one signature several texts.
      if (signature.toString('base64url') !== text) return 'malformed';
      const nowMs = clock.wallTime();
      const timeMs = Number(time);
      if (Math.abs(nowMs - timeMs) > windowMs || timeMs <= forgottenUpToMs) return 'stale';
      if (!isGenuine(signedText(content, time, nonce), signature)) return 'forged';
      forget(nowMs);
      if (remembered.has(nonce)) return 'replayed';
      if (remembered.size >= maxRemembered) return 'full';
      // A time ahead of ours stays valid for longer than one behind it; this covers both.
      remembered.set(nonce, { timeMs, untilMs: nowMs + 2 * windowMs });
      return 'ok';
    },
  };
}

function signedText({ fingerprint, body = '' }: BoundContent, time: string, nonce: string): string {
  const { hash, fingerprint: whole } = identify(fingerprint, "binding: 'fingerprint'");
  return `constitution-binding-v1\n${whole ?? hash}\n${time}\n${nonce}\n${contentDigest(body)}\n`;
}

function resolveKey(given: unknown): KeyObject {
  const key = given instanceof Uint8Array ? createSecretKey(given) : given;
  if (!(key instanceof KeyObject)) {
    throw new TypeError(`createBinding: option 'key' must be a KeyObject or bytes, got ${describe(key)}`);
  }
  if (key.type === 'secret') {
    if ((key.symmetricKeySize ?? 0) < 32)
      throw new RangeError("createBinding: option 'key' must have at least 32 bytes");
  } else if (key.asymmetricKeyType !== 'ed25519') {
    throw new TypeError("createBinding: option 'key' must be a secret or an Ed25519 key");
  }
  return key;
}
