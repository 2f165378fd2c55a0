import { deserialize, serialize } from 'node:v8';
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { ValueCodec } from '../value-codec.ts';
import { fromJsonTree, isPlainJson, toJsonTree } from './extended-json.ts';
import type { Lifetime } from './lifetime.ts';

/*
 * What is written to Redis behind the scripts' head:
 *   0 byte    version (high four bits), compression (two), format (two)
 *   1 uint32  CRC-32 of all that follows, begun with the header byte and a hash of the key that it is stored under
 *   5 doubles how long the value is fresh (the scripts read this one too), stale, in its grace; how long its load took
 *  37 uint16  bytes of tags
 *  39 tags, each with a NUL behind it, then the value
 */
const VERSION = 2;
const LIFETIME_OFFSET = 5;
const TAGS_OFFSET = 37;
const FIXED_BYTES = 39;
const MOST_TAG_BYTES = 0xffff;
/** A compressed value may not be larger than this when it is unpacked. */
const MOST_BYTES = 512 * 1024 * 1024;

const JSON_PLAIN = 0;
const JSON_EXTENDED = 1;
const V8 = 2;
const CUSTOM = 3;
const ZSTD = 1;
const NO_TAGS: readonly string[] = Object.freeze([]);

/** What an envelope held. */
export interface Opened {
  readonly value: unknown;
  readonly tags: readonly string[];
  readonly lifetime: Lifetime;
}

/** Writes values into envelopes and reads them back. */
export class Envelopes {
  readonly #codec: 'json' | 'v8' | ValueCodec;
  readonly #compressFromBytes: number;
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(codec: 'json' | 'v8' | ValueCodec, compressFromBytes: number) {
    this.#codec = codec;
    this.#compressFromBytes = compressFromBytes;
  }

  /** Seals a value for the key that `seed` is the hash of. @throws Error when the value, or its tags, can't be encoded. */
  seal(seed: number, value: unknown, tags: readonly string[], lifetime: Lifetime): Buffer {
    let [format, payload] = this.#encode(value);
    let compression = 0;
    if (payload.byteLength >= this.#compressFromBytes) {
      const packed = zstdCompressSync(payload);
      if (packed.byteLength < payload.byteLength) {
        payload = packed;
        compression = ZSTD;
      }
    }
    let tagText = '';
    for (const tag of tags) {
      if (tag.includes('\0')) throw new RangeError('a tag must be without NUL');
      tagText += `${tag}\0`;
    }
    const tagBytes = Buffer.byteLength(tagText);
    if (tagBytes > MOST_TAG_BYTES) throw new RangeError(`the tags of a value take ${tagBytes} bytes`);
    const sealed = Buffer.allocUnsafe(FIXED_BYTES + tagBytes + payload.byteLength);
    sealed[0] = (VERSION << 4) | (compression << 2) | format;
    sealed.writeDoubleLE(lifetime.freshMs, LIFETIME_OFFSET);
    sealed.writeDoubleLE(lifetime.staleMs, LIFETIME_OFFSET + 8);
    sealed.writeDoubleLE(lifetime.graceMs, LIFETIME_OFFSET + 16);
    sealed.writeDoubleLE(lifetime.loadMs, LIFETIME_OFFSET + 24);
    sealed.writeUInt16LE(tagBytes, TAGS_OFFSET);
    sealed.write(tagText, FIXED_BYTES);
    sealed.set(payload, FIXED_BYTES + tagBytes);
    sealed.writeUInt32LE(crc32(sealed.subarray(LIFETIME_OFFSET), (seed ^ sealed[0]) >>> 0), 1);
    return sealed;
  }

  /** @throws Error when the bytes are not a whole envelope of a known version, or not one that was sealed for this key. */
  open(seed: number, bytes: Buffer, offset: number): Opened {
    const header = bytes[offset] ?? 0;
    if (header >> 4 !== VERSION) throw new Error('unknown version');
    if (bytes.byteLength < offset + FIXED_BYTES) throw new Error('cut short');
    const body = offset + LIFETIME_OFFSET;
    const view = this.#viewOf(bytes);
    const at = bytes.byteOffset + offset;
    const checksum = crc32(bytes.subarray(body), (seed ^ header) >>> 0);
    if (view.getUint32(at + 1, true) !== checksum) throw new Error('checksum');
    const tagBytes = view.getUint16(at + TAGS_OFFSET, true);
    const tagStart = offset + FIXED_BYTES;
    const tags =
      tagBytes === 0 ? NO_TAGS : bytes.toString('utf8', tagStart, tagStart + tagBytes - 1).split('\0');
    const lifetime = {
      freshMs: view.getFloat64(at + LIFETIME_OFFSET, true),
      staleMs: view.getFloat64(at + LIFETIME_OFFSET + 8, true),
      graceMs: view.getFloat64(at + LIFETIME_OFFSET + 16, true),
      loadMs: view.getFloat64(at + LIFETIME_OFFSET + 24, true),
    };
    return { value: this.#decode(header & 15, bytes, tagStart + tagBytes), tags, lifetime };
  }

  /** Values that were received together lie in one piece of memory. */
  #viewOf({ buffer }: Buffer): DataView {
    if (this.#view.buffer !== buffer) this.#view = new DataView(buffer);
    return this.#view;
  }

  #encode(value: unknown): [format: number, payload: Uint8Array] {
    const codec = this.#codec;
    if (codec === 'v8') return [V8, serialize(value)];
    if (codec !== 'json') return [CUSTOM, codec.encode(value)];
    if (isPlainJson(value)) return [JSON_PLAIN, Buffer.from(JSON.stringify(value))];
    return [JSON_EXTENDED, Buffer.from(JSON.stringify(toJsonTree(value)))];
  }

  #decode(kind: number, bytes: Buffer, start: number): unknown {
    if (kind === JSON_PLAIN) return JSON.parse(bytes.toString('utf8', start));
    let payload = bytes.subarray(start);
    if (kind >> 2 === ZSTD) payload = zstdDecompressSync(payload, { maxOutputLength: MOST_BYTES });
    else if (kind >> 2 !== 0) throw new Error('unknown compression');
    switch (kind & 3) {
      case JSON_PLAIN:
        return JSON.parse(payload.toString());
      case JSON_EXTENDED:
        return fromJsonTree(JSON.parse(payload.toString()));
      case V8:
        return deserialize(payload);
      default:
        if (typeof this.#codec === 'string') throw new Error('another codec');
        return this.#codec.decode(payload);
    }
  }
}

/** What a hash begins with. */
const NOTHING = 0x811c9dc5;

/**
 * The hash of a key, which its checksum begins with: another key's value, whole as it may be, does not pass.
 *
 * `before` is the hash of what comes before `text`, if anything does. Source: FNV-1a.
 */
export function keyHash(text: string, before: number = NOTHING): number {
  let hash = before;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash;
}
