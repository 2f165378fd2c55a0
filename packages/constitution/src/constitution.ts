import { AbortedError, type Clock, eventChannel, type Milliseconds, type TimerHandle } from '@hotpath/core';
import { ConstitutionError } from './errors.ts';
import { parseFingerprint } from './fingerprint.ts';
import {
  FINGERPRINT_HEADER,
  HASH_HEADER,
  type HeaderSource,
  headerIn,
  putHeader,
} from './internal/headers.ts';
import { ABSENT, BLOCKED, type Place, putAt, valueAt } from './internal/place.ts';
import { byNumber, rotated, type Versions } from './internal/rotation.ts';
import {
  activeAt,
  nextChange,
  SHORT_FORM,
  stateAt,
  type Version,
  type VersionState,
} from './internal/versions.ts';
import {
  type ConstitutionMode,
  type ConstitutionOptions,
  type RotateOptions,
  resolveConstitutionOptions,
  resolveRotateOptions,
} from './options.ts';
import type { ConstitutionStats, RefusedEvent, RotatedEvent } from './stats.ts';

/**
 * What a check found.
 *
 * - `ok`: the hash of an accepted version.
 * - `missing`: there is no value at the place.
 * - `malformed`: not a string of 16 lower-case hex digits: an array, a repeated header, upper case, spaces, …
 * - `unknown`: well formed, and of no version that is known here.
 * - `retired`: of a version whose time is over.
 * - `not-yet-valid`: of a version whose time has not come.
 */
export type CheckResult = 'ok' | 'missing' | 'malformed' | 'unknown' | 'retired' | 'not-yet-valid';

const refused = eventChannel<RefusedEvent>('constitution', 'refused');
const becameActive = eventChannel<RotatedEvent>('constitution', 'rotated');

/** Equals no value that a caller can send. */
const NOTHING: unique symbol = Symbol('no accepted active hash');

const MAX_APPLICATION_NAME = 63;

/** The wall clock may be set: no wait for a window is trusted for longer than this. */
const LONGEST_WAIT_MS = 60_000;

/**
 * The accepted versions of a governing document, and the checks against them.
 *
 * The hash is public (it stands in every request), so it is compared with `===`: comparison in constant
 * time protects secrets, and here would only cost. To prove who sent a request, see `createBinding`.
 */
export class Constitution {
  readonly mode: ConstitutionMode;
  readonly #clock: Clock;
  readonly #messageField: Place;
  #versions: Versions;
  readonly #states = new Map<string, VersionState>();
  #active: Version;
  #okHash: string | typeof NOTHING = NOTHING;
  #timer: TimerHandle | undefined;
  #isClosed = false;
  #activeHits = 0;
  readonly #counts = { ok: 0, missing: 0, malformed: 0, unknown: 0, retired: 0, 'not-yet-valid': 0 };
  #rotations = 0;

  /** @internal */
  constructor(options: ConstitutionOptions) {
    const { mode, clock, messageField, versions } = resolveConstitutionOptions(options);
    this.mode = mode;
    this.#clock = clock;
    this.#messageField = messageField;
    this.#versions = new Map(versions.map((version) => [version.hash, version]));
    this.#active = activeAt(versions, clock.wallTime()) as Version;
    this.#advance();
  }

  /** The short hash that is stamped now: 16 hex digits. */
  get active(): string {
    return this.#active.hash;
  }

  /** The whole fingerprint of the active version; `undefined` when only its short hash was given. */
  get fingerprint(): string | undefined {
    return this.#active.fingerprint;
  }

  /** The number of the active version. */
  get version(): number {
    return this.#active.version;
  }

  /** Every version that is known here, by number. */
  get versions(): readonly Version[] {
    return byNumber(this.#versions);
  }

  /** Checks a short hash as it came, of whatever type. Never throws; allocates nothing when it is accepted. */
  check(value: unknown): CheckResult {
    if (value === this.#okHash) {
      this.#activeHits++;
      return 'ok';
    }
    return this.#count(this.#judge(value));
  }

  /** As `check`, of the whole fingerprint. Only the short form is compared where no more is known here. */
  checkFingerprint(value: unknown): CheckResult {
    return this.#count(this.#judgeFingerprint(value));
  }

  /**
   * Checks the header `X-Constitutional-Hash`; where `Constitution-Fingerprint` came too, both must name the same version.
   *
   * Names in a plain object must be in lower case, as Node gives them. Inherited properties are not seen.
   */
  checkHeaders(headers: HeaderSource): CheckResult {
    if (headers == null) return this.#count('missing');
    const hash = (headers as Readonly<Record<string, unknown>>)[HASH_HEADER];
    if (hash === this.#okHash && Object.hasOwn(headers, HASH_HEADER)) {
      if ((headers as Readonly<Record<string, unknown>>)[FINGERPRINT_HEADER] === undefined) {
        this.#activeHits++;
        return 'ok';
      }
    }
    const given = headerIn(headers, HASH_HEADER);
    const result = this.#judge(given);
    const whole = headerIn(headers, FINGERPRINT_HEADER);
    if (result !== 'ok' || whole === undefined) return this.#count(result);
    const wholeResult = this.#judgeFingerprint(whole);
    const isSame = wholeResult !== 'ok' || (whole as string).split(':')[2]?.startsWith(given as string);
    return this.#count(isSame ? wholeResult : 'unknown');
  }

  /**
   * Checks the short hash at one place of a message; elsewhere in it a hash counts for nothing.
   *
   * @param place Field names separated by dots, or a list of them. Default: the option `messageField`.
   */
  checkMessage(message: unknown, place: Place = this.#messageField): CheckResult {
    const value = valueAt(message, place);
    if (value === BLOCKED) return this.#count('malformed');
    return this.check(value === ABSENT ? undefined : value);
  }

  /** Whether a message has anything at the place; it may be refused all the same. */
  hasMessageValue(message: unknown, place: Place = this.#messageField): boolean {
    const value = valueAt(message, place);
    return value !== ABSENT && value !== BLOCKED && value !== undefined;
  }

  /** The result of `check` for each value, in order. */
  checkMany(values: readonly unknown[]): CheckResult[] {
    const results: CheckResult[] = [];
    for (let index = 0; index < values.length; index++) results.push(this.check(values[index]));
    return results;
  }

  /**
   * Refuses what `check` does not find `ok`. In the modes `warn` and `shadow` it only counts.
   *
   * @throws ConstitutionError (HOTPATH_CONSTITUTION_MISSING, _MALFORMED, _UNKNOWN, _RETIRED, _NOT_YET_VALID) in mode `enforce`.
   */
  assert(value: unknown): void {
    const result = this.check(value);
    if (result !== 'ok' && this.mode === 'enforce') throw new ConstitutionError(result);
  }

  /**
   * Puts the active hash into headers (with the whole fingerprint where it is known), or at a place of a message.
   *
   * Changes `target` and returns it. Headers are a plain object, `Headers`, or a response with `setHeader`.
   *
   * @param place Where given, `target` is a message: field names separated by dots, or a list of them.
   * @throws TypeError when the place can't be reached.
   */
  stamp<Target extends object>(target: Target, place?: Place): Target {
    const { hash, fingerprint } = this.#active;
    if (place !== undefined) putAt(target, place, hash);
    else {
      putHeader(target, HASH_HEADER, hash);
      if (fingerprint !== undefined) putHeader(target, FINGERPRINT_HEADER, fingerprint);
    }
    return target;
  }

  /** A cache key that another version of the document does not share. */
  cacheKey(key: string): string {
    return `${this.#active.hash}:${key}`;
  }

  /** An `application_name` for Postgres with the hash in it: cut to the 63 bytes, and of the characters, that Postgres keeps. */
  applicationName(name: string): string {
    const suffix = `/${this.#active.hash}`;
    return name.replaceAll(/[^ -~]/gu, '?').slice(0, MAX_APPLICATION_NAME - suffix.length) + suffix;
  }

  /**
   * Plans the change to another version: accepted from `acceptFrom`, stamped from `activateAt`; the one
   * before is accepted for `graceMs` longer.
   *
   * A fleet rotates without a refused request when every node learns of it before `activateAt`, by more
   * than its clocks differ, and `graceMs` exceeds that difference plus the longest time on the way.
   *
   * @throws DriftError (HOTPATH_CONSTITUTION_ROLLBACK) when the version would not go up; `force` allows it.
   * @throws AbortedError (HOTPATH_CONSTITUTION_CLOSED) after `close()`.
   * @throws TypeError or RangeError when an option is wrong, or two versions would share a short hash.
   */
  rotate(options: RotateOptions): void {
    if (this.#isClosed) throw new AbortedError('HOTPATH_CONSTITUTION_CLOSED', 'the constitution is closed');
    const nowMs = this.#clock.wallTime();
    this.#versions = rotated(this.#versions, resolveRotateOptions(options, nowMs), nowMs);
    this.#advance();
  }

  stats(): ConstitutionStats {
    const { ok, missing, malformed, unknown, retired, 'not-yet-valid': notYetValid } = this.#counts;
    const rotations = this.#rotations;
    return { ok: ok + this.#activeHits, missing, malformed, unknown, retired, notYetValid, rotations };
  }

  /** Stops the timer: windows no longer open and close, and checks go by the last state. */
  close(): void {
    this.#isClosed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #judge(value: unknown): CheckResult {
    if (value === undefined || value === null) return 'missing';
    if (typeof value !== 'string') return 'malformed';
    const state = this.#states.get(value);
    if (state !== undefined) return state;
    return SHORT_FORM.test(value) ? 'unknown' : 'malformed';
  }

  #judgeFingerprint(value: unknown): CheckResult {
    if (value === undefined || value === null) return 'missing';
    if (typeof value !== 'string' || value.length > 100) return 'malformed';
    let hash: string;
    try {
      hash = parseFingerprint(value).short;
    } catch {
      return 'malformed';
    }
    const version = this.#versions.get(hash);
    if (version === undefined) return 'unknown';
    if (version.fingerprint !== undefined && version.fingerprint !== value) return 'unknown';
    return this.#states.get(hash) ?? 'unknown';
  }

  #count(result: CheckResult): CheckResult {
    this.#counts[result]++;
    if (result !== 'ok' && refused.hasSubscribers) refused.publish({ result, mode: this.mode });
    return result;
  }

  /** Brings states and the active version up to the wall clock, and waits for the next change. */
  #advance(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = this.#clock.wallTime();
    this.#states.clear();
    for (const version of this.#versions.values()) this.#states.set(version.hash, stateAt(version, nowMs));
    const before = this.#active;
    this.#active = activeAt(this.#versions.values(), nowMs) ?? before;
    this.#okHash = this.#states.get(this.#active.hash) === 'ok' ? this.#active.hash : NOTHING;
    if (before.hash !== this.#active.hash) {
      this.#rotations++;
      if (becameActive.hasSubscribers) {
        becameActive.publish({ from: before.hash, to: this.#active.hash, version: this.#active.version });
      }
    }
    const waitMs: Milliseconds = nextChange(this.#versions.values(), nowMs) - nowMs;
    if (waitMs === Number.POSITIVE_INFINITY || this.#isClosed) return;
    this.#timer = this.#clock.setTimeout(() => this.#advance(), Math.min(waitMs, LONGEST_WAIT_MS));
    this.#timer.unref();
  }
}

/**
 * Makes a constitution: the versions of the governing document that are accepted, and the one that is stamped.
 *
 * @example
 * const constitution = createConstitution({ active: 'cdd01ef066bc6cf2' });
 * constitution.check('cdd01ef066bc6cf2'); // 'ok'
 *
 * @throws DriftError (HOTPATH_CONSTITUTION_DRIFT) when `document` or the pin file's document is not the one that was pinned.
 * @throws DocumentError (HOTPATH_CONSTITUTION_PIN_FILE, HOTPATH_CONSTITUTION_DOCUMENT) when one of them can't be read.
 * @throws TypeError or RangeError when an option is wrong.
 */
export function createConstitution(options: ConstitutionOptions): Constitution {
  return new Constitution(options);
}
