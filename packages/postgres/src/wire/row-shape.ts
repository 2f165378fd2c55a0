import pg from 'pg';
import type { FieldDescription, TypeSource } from './pg-client.ts';

/** How rows are handed out: as objects by column name, or as arrays. */
export type RowMode = 'object' | 'array';

export type Row = Record<string, unknown>;

type Parser = (text: string) => unknown;
type SliceBuffer = Buffer & {
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
};

const TEXT = 0;
const INTEGER = 1;
const PARSED = 2;

/** Reads rows of one result shape straight from the bytes of a DataRow message. */
export class RowShape {
  readonly #names: string[];
  readonly #kinds: Uint8Array;
  readonly #parsers: Parser[];
  readonly #mode: RowMode;
  /** All columns null: rows are copies of it, so that they share one hidden class. */
  readonly #empty: Row;

  constructor(fields: readonly FieldDescription[], types: TypeSource, mode: RowMode) {
    this.#mode = mode;
    this.#names = fields.map((field) => field.name);
    this.#parsers = fields.map((field) => types.getTypeParser(field.dataTypeID, 'text') as Parser);
    this.#kinds = Uint8Array.from(this.#parsers, kindOf);
    const empty: Row = Object.create(null);
    for (const name of this.#names) empty[name] = null;
    this.#empty = { ...empty };
  }

  /** @throws What a parser throws. */
  read(bytes: Buffer, start: number): Row | unknown[] {
    const buffer = bytes as SliceBuffer;
    const count = (buffer[start]! << 8) | buffer[start + 1]!;
    const row: Row | unknown[] = this.#mode === 'array' ? new Array(count) : { ...this.#empty };
    const isArray = this.#mode === 'array';
    let offset = start + 2;
    for (let i = 0; i < count; i++) {
      const length =
        (buffer[offset]! << 24) |
        (buffer[offset + 1]! << 16) |
        (buffer[offset + 2]! << 8) |
        buffer[offset + 3]!;
      offset += 4;
      let value: unknown = null;
      if (length >= 0) {
        const end = offset + length;
        const kind = this.#kinds[i];
        if (kind === TEXT) value = buffer.utf8Slice(offset, end);
        else if (kind === INTEGER && length < 16) value = integerOf(buffer, offset, end);
        else value = this.#parsers[i]!(buffer.utf8Slice(offset, end));
        offset = end;
      }
      if (isArray) (row as unknown[])[i] = value;
      else (row as Row)[this.#names[i]!] = value;
    }
    return row;
  }
}

const parsesInteger = /^function\s*\w*\s*\(value\)\s*\{\s*return parseInt\(value, 10\);?\s*\}$/;
const keepsText: unknown = pg.types.getTypeParser(-1 as never);

/** Only pg's own parsers are short-cut, told by identity and source; one that a user has set is always called. */
function kindOf(parser: Parser): number {
  if (parser === keepsText) return TEXT;
  if (parsesInteger.test(Function.prototype.toString.call(parser))) return INTEGER;
  return PARSED;
}

function integerOf(buffer: Buffer, start: number, end: number): number {
  const negative = buffer[start] === 0x2d;
  let value = 0;
  for (let i = negative ? start + 1 : start; i < end; i++) value = value * 10 + (buffer[i]! - 0x30);
  return negative ? -value : value;
}
