import utils from 'pg/lib/utils.js';
import { largerSlab, type Slab } from './slab.ts';

const { prepareValue } = utils;
const SLAB_BYTES = 16_384;
/** The protocol counts them in 16 bits. */
const MOST_VALUES = 65_535;

const QUERY = 0x51;
const PARSE = 0x50;
const BIND = 0x42;
const DESCRIBE = 0x44;
const EXECUTE = 0x45;
const CLOSE = 0x43;
const SYNC = 0x53;
const PORTAL = 0x50;
const STATEMENT = 0x53;

/**
 * Lays out frontend messages one after the other, so that a query leaves in one write.
 *
 * Bytes handed out by {@link take} are never written to again: the socket may still hold them.
 */
export class MessageWriter {
  #buffer = Buffer.allocUnsafe(SLAB_BYTES) as Slab;
  #start = 0;
  #end = 0;

  /** What was laid out since the last call. */
  take(): Buffer {
    const bytes = this.#buffer.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return bytes;
  }

  /** Forgets what was laid out since the last {@link take}. */
  discard(): void {
    this.#end = this.#start;
  }

  /** The simple protocol: the text may hold several statements. @throws TypeError when it has a NUL. */
  query(text: string): void {
    refuseNul(text);
    const length = this.#open(QUERY);
    this.#cstring(text);
    this.#seal(length);
  }

  parse(name: string, text: string): void {
    refuseNul(text);
    const length = this.#open(PARSE);
    this.#cstring(name);
    this.#cstring(text);
    this.#int16(0);
    this.#seal(length);
  }

  /** @throws RangeError for too many values; what a value's own conversion throws. Nothing of the message stays then. */
  bind(name: string, values: readonly unknown[]): void {
    const before = this.#end - this.#start;
    try {
      this.#bind(name, values);
    } catch (error) {
      this.#end = this.#start + before;
      throw error;
    }
  }

  #bind(name: string, values: readonly unknown[]): void {
    const length = this.#open(BIND);
    this.#cstring('');
    this.#cstring(name);
    const count = values.length;
    if (count > MOST_VALUES) {
      throw new RangeError(
        `a query takes at most ${MOST_VALUES} values, got ${count}: send arrays, or use upsertMany and insertMany`,
      );
    }
    let anyBinary = false;
    for (let i = 0; i < count; i++) if (ArrayBuffer.isView(values[i])) anyBinary = true;
    // No format codes at all means text for every value.
    this.#int16(anyBinary ? count : 0);
    if (anyBinary) for (let i = 0; i < count; i++) this.#int16(ArrayBuffer.isView(values[i]) ? 1 : 0);
    this.#int16(count);
    for (let i = 0; i < count; i++) {
      const value = values[i];
      const prepared = typeof value === 'string' ? value : prepareValue(value);
      if (prepared === null) this.#int32(-1);
      else if (typeof prepared === 'string') this.#prefixed(prepared);
      else if (anyBinary && ArrayBuffer.isView(value)) {
        this.#int32(prepared.length);
        this.#bytes(prepared);
      } else throw new TypeError('a parameter must not turn itself into bytes');
    }
    this.#int16(0);
    this.#seal(length);
  }

  describePortal(): void {
    const length = this.#open(DESCRIBE);
    this.#byte(PORTAL);
    this.#cstring('');
    this.#seal(length);
  }

  /** @param maxRows 0 means all. */
  execute(maxRows = 0): void {
    const length = this.#open(EXECUTE);
    this.#cstring('');
    this.#int32(maxRows);
    this.#seal(length);
  }

  closeStatement(name: string): void {
    const length = this.#open(CLOSE);
    this.#byte(STATEMENT);
    this.#cstring(name);
    this.#seal(length);
  }

  closePortal(): void {
    const length = this.#open(CLOSE);
    this.#byte(PORTAL);
    this.#cstring('');
    this.#seal(length);
  }

  sync(): void {
    this.#seal(this.#open(SYNC));
  }

  /** Returns where the length goes, relative to the start: the buffer may move meanwhile. */
  #open(type: number): number {
    this.#room(5);
    this.#buffer[this.#end++] = type;
    const at = this.#end - this.#start;
    this.#end += 4;
    return at;
  }

  #seal(lengthAt: number): void {
    const at = this.#start + lengthAt;
    this.#buffer.writeInt32BE(this.#end - at, at);
  }

  #byte(value: number): void {
    this.#room(1);
    this.#buffer[this.#end++] = value;
  }

  #int16(value: number): void {
    this.#room(2);
    this.#buffer[this.#end++] = value >>> 8;
    this.#buffer[this.#end++] = value;
  }

  #int32(value: number): void {
    this.#room(4);
    this.#end = this.#buffer.writeInt32BE(value, this.#end);
  }

  #cstring(text: string): void {
    this.#room(text.length * 3 + 1);
    if (text !== '') this.#end += this.#buffer.utf8Write(text, this.#end);
    this.#buffer[this.#end++] = 0;
  }

  #prefixed(text: string): void {
    this.#room(text.length * 3 + 4);
    const written = text === '' ? 0 : this.#buffer.utf8Write(text, this.#end + 4);
    this.#buffer.writeInt32BE(written, this.#end);
    this.#end += 4 + written;
  }

  #bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    this.#buffer = largerSlab(this.#buffer, this.#start, this.#end, bytes, SLAB_BYTES);
    this.#end -= this.#start;
    this.#start = 0;
  }
}

/** The protocol ends texts with a NUL: what follows one would be read as something else. */
function refuseNul(text: string): void {
  if (text.includes('\0')) throw new TypeError('the text of a query must not contain a NUL character');
}
