import { largerSlab, type Slab } from '../wire/slab.ts';

const SLAB_BYTES = 131_072;
const MICROS = 1_000;
const HIGH = 2 ** 32;

/** Lays out values as the server's binary formats have them; a field is its length and its bytes. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(SLAB_BYTES) as Slab;
  #start = 0;
  #end = 0;

  /** Bytes laid out since the last {@link take}. */
  get size(): number {
    return this.#end - this.#start;
  }

  /** What was laid out since the last call; it is never written to again. */
  take(): Buffer {
    const bytes = this.#buffer.subarray(this.#start, this.#end);
    this.#start = this.#end;
    return bytes;
  }

  int16(value: number): void {
    this.#room(2);
    this.#end = this.#buffer.writeInt16BE(value, this.#end);
  }

  int32(value: number): void {
    this.#room(4);
    this.#put32(value);
  }

  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  field1(value: number): void {
    this.#room(5);
    this.#put32(1);
    this.#buffer[this.#end++] = value;
  }

  field2(value: number): void {
    this.#room(6);
    this.#put32(2);
    this.#end = this.#buffer.writeInt16BE(value, this.#end);
  }

  field4(value: number): void {
    this.#room(8);
    this.#put32(4);
    this.#put32(value);
  }

  field8(value: bigint): void {
    this.#room(12);
    this.#put32(8);
    this.#end = this.#buffer.writeBigInt64BE(value, this.#end);
  }

  fieldDouble(value: number): void {
    this.#room(12);
    this.#put32(8);
    this.#end = this.#buffer.writeDoubleBE(value, this.#end);
  }

  /** Milliseconds as a whole number of microseconds: beyond what a double holds exactly, so in two halves. */
  fieldMicros(ms: number): void {
    this.#room(12);
    this.#put32(8);
    const high = Math.floor(ms / HIGH);
    const low = (ms - high * HIGH) * MICROS;
    const carry = Math.floor(low / HIGH);
    this.#put32(high * MICROS + carry);
    this.#put32(low - carry * HIGH);
  }

  fieldText(text: string): void {
    this.#room(text.length * 3 + 4);
    const at = this.#end;
    const written = text === '' ? 0 : this.#buffer.utf8Write(text, at + 4);
    this.#put32(written);
    this.#end = at + 4 + written;
  }

  fieldHex(digits: string): void {
    this.#room(4 + digits.length / 2);
    this.#put32(digits.length / 2);
    this.#end += this.#buffer.write(digits, this.#end, 'hex');
  }

  #put32(value: number): void {
    const buffer = this.#buffer;
    let at = this.#end;
    buffer[at++] = value >>> 24;
    buffer[at++] = value >>> 16;
    buffer[at++] = value >>> 8;
    buffer[at++] = value;
    this.#end = at;
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    this.#buffer = largerSlab(this.#buffer, this.#start, this.#end, bytes, SLAB_BYTES);
    this.#end -= this.#start;
    this.#start = 0;
  }
}
