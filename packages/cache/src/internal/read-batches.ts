import { randomBytes } from 'node:crypto';
import { type Clock, type Milliseconds, TurnoverMap } from '@hotpath/core';
import { events } from '../events.ts';
import type { Counters } from './counters.ts';
import { type Envelopes, keyHash } from './envelope.ts';
import type { Leases } from './leases.ts';
import { HEAD_BYTES, SEQUENCE_OFFSET, STORED_AT_OFFSET, scripts } from './scripts.ts';
import type { ServerTime, Shard } from './shard.ts';
import { Specimen } from './specimen.ts';
import type { SharedReader } from './tier.ts';

/** Up to this many reads of a turn go through a script that gives leases with the answer; more go as an MGET, which is cheaper for Redis. */
const SCRIPT_READS = 16;
/** More go in two halves: while Redis works on the second, this process takes the first one apart. */
const READS_IN_ONE = 40;
const LARGEST_BATCH = 512;
const TOKEN_DIGITS = 6;

/** What the scripts say in place of a value. */
const LEASED = 0;
const GRANTED = 1;
const NEWER = 3;

interface ReadBatchesOptions {
  readonly envelopes: Envelopes;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly leases: Leases;
  readonly namespace: string;
  readonly serverTime: ServerTime;
}

const NOBODY: readonly SharedReader[] = [];

class Batch {
  readers: readonly SharedReader[];
  readonly token: string;
  readonly headAtSend: number;
  isReleased = false;
  constructor(readers: readonly SharedReader[], token: string, headAtSend: number) {
    this.readers = readers;
    this.token = token;
    this.headAtSend = headAtSend;
  }
}

/** Gathers the reads of one turn of the event loop into one command a shard, and hands out the answers. */
export class ReadBatches {
  readonly #options: ReadBatchesOptions;
  readonly #underWay = new Map<Shard, TurnoverMap<Batch, Batch>>();
  /** Tokens of this process begin with this: ten digits drawn at random. */
  readonly #tokenStart = randomBytes(8)
    .toString('base64url')
    .slice(0, 16 - TOKEN_DIGITS);
  readonly #specimen = new Specimen();
  #tokens = 0;

  constructor(options: ReadBatchesOptions) {
    this.#options = options;
  }

  add(shard: Shard, reader: SharedReader): void {
    if (shard.gathered !== undefined) {
      shard.gathered.push(reader);
      return;
    }
    shard.gathered = [reader];
    this.#specimen.gathering = setImmediate(() => this.#flush(shard));
  }

  /** Nobody need wait any longer for what was asked. */
  releaseAll(shard: Shard): void {
    for (const batch of this.#underWay.get(shard)?.values() ?? []) this.#release(shard, batch);
  }

  #release(shard: Shard, batch: Batch): void {
    if (batch.isReleased) return;
    batch.isReleased = true;
    this.#underWay.get(shard)?.delete(batch);
    for (const reader of batch.readers) reader.onShared('away', undefined, '');
  }

  #underWayOn(shard: Shard): TurnoverMap<Batch, Batch> {
    let underWay = this.#underWay.get(shard);
    if (underWay === undefined) {
      underWay = new TurnoverMap();
      this.#underWay.set(shard, underWay);
    }
    return underWay;
  }

  #flush(shard: Shard): void {
    const readers = shard.gathered ?? [];
    shard.gathered = undefined;
    const { length } = readers;
    const size = length <= READS_IN_ONE ? READS_IN_ONE : Math.min(Math.ceil(length / 2), LARGEST_BATCH);
    for (let start = 0; start < length; start += size) {
      this.#send(shard, readers.slice(start, start + size), length <= SCRIPT_READS);
    }
  }

  #nextToken(): string {
    this.#tokens = (this.#tokens + 1) % 36 ** TOKEN_DIGITS;
    return this.#tokenStart + this.#tokens.toString(36).padStart(TOKEN_DIGITS, '0');
  }

  #send(shard: Shard, readers: readonly SharedReader[], withLeases: boolean): void {
    const { link } = shard;
    const keys = readers.map((reader) => shard.root + reader.sharedKey);
    const batch = new Batch(readers, withLeases ? this.#nextToken() : '', shard.mirror.head);
    if (link === undefined || !link.isReadable) {
      this.#release(shard, batch);
      return;
    }
    const { firstLeaseMs } = this.#options.leases;
    let reply: Promise<unknown>;
    if (withLeases) {
      const wanted = readers.map((reader) => (reader.wantsLease ? '1' : '0')).join('');
      reply = shard.run(link, scripts.read, keys, [batch.token, firstLeaseMs, wanted]);
    } else reply = link.send('MGET', [shard.stateKey, ...keys]);
    this.#underWayOn(shard).set(batch, batch);
    reply.then(
      (values) => this.#onReply(shard, batch, values),
      () => this.#lose(shard, batch),
    );
  }

  #onReply(shard: Shard, batch: Batch, values: unknown): void {
    if (!isReply(values, batch.readers.length)) {
      // Whatever follows on this connection may be the answer to another question.
      shard.link?.leave('an answer in another form');
      this.#lose(shard, batch);
      return;
    }
    const standing = shard.check(values[0], batch.headAtSend);
    if (batch.isReleased) {
      this.#giveBack(shard, batch, values);
      return;
    }
    if (standing === 'ok') {
      this.#handOut(shard, batch, values);
      return;
    }
    const { link } = shard;
    if (standing === 'lost' || link === undefined) {
      this.#release(shard, batch);
      link?.distrust('data was lost');
      return;
    }
    shard.sync(link).then(
      () => {
        if (batch.isReleased) this.#giveBack(shard, batch, values);
        else this.#handOut(shard, batch, values);
      },
      () => this.#release(shard, batch),
    );
  }

  /** Whether its leases were given will not be known any more. */
  #lose(shard: Shard, batch: Batch): void {
    if (batch.token !== '') {
      for (const { sharedKey, wantsLease } of batch.readers) {
        if (wantsLease) this.#options.leases.lose(shard, sharedKey, batch.token);
      }
    }
    this.#release(shard, batch);
  }

  /** Leases that came too late for those who wanted them. */
  #giveBack(shard: Shard, batch: Batch, values: (Buffer | number | null)[]): void {
    for (const [index, { sharedKey }] of batch.readers.entries()) {
      if (values[index + 1] === GRANTED) this.#options.leases.end(shard, sharedKey, batch.token);
    }
  }

  #handOut(shard: Shard, batch: Batch, values: (Buffer | number | null)[]): void {
    const { serverTime } = this.#options;
    const { readers } = batch;
    this.#underWay.get(shard)?.delete(batch);
    batch.isReleased = true;
    if (values.length > readers.length + 1) serverTime.learn(Number(values[readers.length + 1]));
    const nowMs = serverTime.now();
    const retried: SharedReader[] = [];
    for (let index = 0; index < readers.length; index++) {
      const reader = readers[index] as SharedReader;
      const value = values[index + 1];
      if (value instanceof Buffer) {
        if (value.byteLength === HEAD_BYTES)
          reader.onShared(reader.wantsLease ? 'leased' : 'missing', undefined, '');
        else this.#open(shard, reader, value, nowMs);
      } else if (value === GRANTED) this.#grant(shard, reader, batch.token);
      else if (value === LEASED) reader.onShared(reader.wantsLease ? 'leased' : 'missing', undefined, '');
      else if (value === null && reader.wantsLease) retried.push(reader);
      else reader.onShared('missing', undefined, '');
    }
    batch.readers = NOBODY;
    this.#specimen.batch = batch;
    // They were read without a lease: once more, with one.
    if (retried.length > 0) this.#send(shard, retried, true);
  }

  #grant(shard: Shard, reader: SharedReader, token: string): void {
    this.#options.leases.hold(shard, reader.sharedKey, token);
    reader.onShared('granted', undefined, token);
  }

  #open(shard: Shard, reader: SharedReader, bytes: Buffer, nowMs: Milliseconds): void {
    const { counters, envelopes, namespace } = this.#options;
    try {
      const opened = envelopes.open(keyHash(reader.sharedKey, shard.rootHash), bytes, HEAD_BYTES);
      const { value, tags, lifetime } = opened;
      const sequence = bytes.readDoubleBE(SEQUENCE_OFFSET);
      if (!shard.mirror.invalidates(sequence, tags, reader)) {
        const ageMs = Math.max(0, nowMs - bytes.readDoubleBE(STORED_AT_OFFSET));
        // Throws where what a codec has made can't be frozen or copied for its readers.
        const shared = { value, tags, lifetime, ageMs, bytes: bytes.byteLength };
        reader.onShared('hit', shared, '');
        this.#specimen.keep(reader, opened, shared);
      } else if (reader.wantsLease) this.#acquire(shard, reader, ['0', '', sequence]);
      else reader.onShared('missing', undefined, '');
    } catch (error) {
      counters.corrupt++;
      if (events.corruptEntry.hasSubscribers) {
        const reason = error instanceof Error ? error.message : String(error);
        events.corruptEntry.publish({ namespace, key: reader.readableKey, reason });
      }
      if (reader.wantsLease) this.#acquire(shard, reader, ['1', '', '']);
      else reader.onShared('missing', undefined, '');
    }
  }

  /** Asks for the lease to replace what is there, unless it is fresh for longer than the reader knows. */
  refresh(shard: Shard, reader: SharedReader, knownUntilMs: Milliseconds | undefined): void {
    const { clock, serverTime } = this.#options;
    const known = knownUntilMs === undefined ? '' : serverTime.now() + (knownUntilMs - clock.now());
    this.#acquire(shard, reader, ['0', known, '']);
  }

  #acquire(shard: Shard, reader: SharedReader, terms: readonly (string | number)[]): void {
    const { link } = shard;
    if (link === undefined || !link.isReadable) {
      reader.onShared('away', undefined, '');
      return;
    }
    const keys = [shard.root + reader.sharedKey];
    const batch = new Batch([reader], this.#nextToken(), shard.mirror.head);
    const underWay = this.#underWayOn(shard);
    underWay.set(batch, batch);
    const args = [batch.token, this.#options.leases.firstLeaseMs, ...terms];
    shard.run(link, scripts.acquire, keys, args).then(
      (answer) => {
        if (batch.isReleased) {
          this.#giveBack(shard, batch, [null, answer as number]);
          return;
        }
        batch.isReleased = true;
        underWay.delete(batch);
        if (answer === GRANTED) this.#grant(shard, reader, batch.token);
        else if (answer === NEWER) this.add(shard, reader);
        else reader.onShared(answer === LEASED ? 'leased' : 'missing', undefined, '');
      },
      () => this.#lose(shard, batch),
    );
  }
}

/** Whether it is what a read of so many keys is answered with: the state, a value for each, perhaps the time. */
function isReply(values: unknown, keys: number): values is [Buffer | null, ...(Buffer | number | null)[]] {
  if (!Array.isArray(values) || values.length <= keys) return false;
  const [state] = values;
  return state === null || state instanceof Buffer;
}
