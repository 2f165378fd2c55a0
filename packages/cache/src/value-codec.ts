/** Another encoding of values, such as msgpack: `{ encode: pack, decode: unpack }` of msgpackr. */
export interface ValueCodec {
  /** The bytes of a value. One that throws keeps the value out of Redis. */
  encode(value: unknown): Uint8Array;
  /** The value of such bytes. One that throws makes the entry count as absent. */
  decode(bytes: Uint8Array): unknown;
}
