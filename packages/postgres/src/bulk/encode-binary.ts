import type { ColumnInfo } from '../catalog.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { RowGroup, WriteRow } from './rows.ts';

/**
 * How values of one type travel as bytes: the server then neither parses text nor looks for separators.
 *
 * Only values whose bytes are beyond doubt are taken; everything else goes as text and is the server's to judge.
 */
interface BinaryCodec {
  readonly oid: number;
  takes(value: unknown): boolean;
  /** Length and bytes. */
  write(writer: ByteWriter, value: never): void;
}

/** The server counts microseconds from 2000-01-01. */
const EPOCH_MS = 946_684_800_000;
/** Year 1 to 9999, where no calendar is in question. */
const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z');
const LATEST_MS = Date.parse('9999-12-31T00:00:00Z');
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const integer = (oid: number, bytes: 2 | 4): BinaryCodec => {
  const most = 2 ** (bytes * 8 - 1);
  return {
    oid,
    takes: (value) => typeof value === 'number' && Number.isInteger(value) && value >= -most && value < most,
    write: (writer, value: number) => (bytes === 4 ? writer.field4(value) : writer.field2(value)),
  };
};

const text = (oid: number): BinaryCodec => ({
  oid,
  takes: (value) => typeof value === 'string',
  write: (writer, value: string) => writer.fieldText(value),
});

const codecs: ReadonlyMap<string, BinaryCodec> = new Map<string, BinaryCodec>([
  ['smallint', integer(21, 2)],
  ['integer', integer(23, 4)],
  [
    'bigint',
    {
      oid: 20,
      takes: (value) =>
        Number.isSafeInteger(value) || (typeof value === 'bigint' && BigInt.asIntN(64, value) === value),
      write: (writer, value: number | bigint) => writer.field8(BigInt(value)),
    },
  ],
  [
    'double precision',
    {
      oid: 701,
      takes: (value) => typeof value === 'number',
      write: (writer, value: number) => writer.fieldDouble(value),
    },
  ],
  [
    'boolean',
    {
      oid: 16,
      takes: (value) => typeof value === 'boolean',
      write: (writer, value: boolean) => writer.field1(value ? 1 : 0),
    },
  ],
  ['text', text(25)],
  ['character varying', text(1043)],
  [
    'timestamp with time zone',
    {
      oid: 1184,
      takes: (value) => {
        if (!(value instanceof Date)) return false;
        const ms = value.getTime();
        return ms >= EARLIEST_MS && ms <= LATEST_MS;
      },
      write: (writer, value: Date) => writer.fieldMicros(value.getTime() - EPOCH_MS),
    },
  ],
  [
    'uuid',
    {
      oid: 2950,
      takes: (value) => typeof value === 'string' && UUID.test(value),
      write: (writer, value: string) => writer.fieldHex(value.replaceAll('-', '')),
    },
  ],
]);

function codecFor({ type, name }: ColumnInfo, rows: readonly WriteRow[]): BinaryCodec | undefined {
  const codec = codecs.get(type);
  if (codec === undefined) return undefined;
  for (const row of rows) {
    const value = row[name];
    if (value !== null && !codec.takes(value)) return undefined;
  }
  return codec;
}

/** One column of many rows as an array in the server's binary form; `undefined` where it has to go as text. */
export function arrayBytes(
  rows: readonly WriteRow[],
  column: ColumnInfo,
  writer: ByteWriter,
): Buffer | undefined {
  const codec = codecFor(column, rows);
  if (codec === undefined) return undefined;
  const { name } = column;
  writer.int32(1);
  writer.int32(rows.some((row) => row[name] === null) ? 1 : 0);
  writer.int32(codec.oid);
  writer.int32(rows.length);
  writer.int32(1);
  for (const row of rows) {
    const value = row[name];
    if (value === null) writer.int32(-1);
    else codec.write(writer, value as never);
  }
  return writer.take();
}

const CHUNK_BYTES = 65_536;
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** The rows in COPY's binary format, in pieces of about 64 KB; `undefined` where a column has to go as text. */
export function copyBytes({ columns, rows }: RowGroup, writer: ByteWriter): Iterable<Buffer> | undefined {
  const found = columns.map((column) => codecFor(column, rows));
  if (found.includes(undefined)) return undefined;
  return binaryChunks(
    columns.map(({ name }) => name),
    found as BinaryCodec[],
    rows,
    writer,
  );
}

function* binaryChunks(
  names: readonly string[],
  found: readonly BinaryCodec[],
  rows: readonly WriteRow[],
  writer: ByteWriter,
): Generator<Buffer> {
  const width = names.length;
  writer.bytes(SIGNATURE);
  for (const row of rows) {
    writer.int16(width);
    for (let i = 0; i < width; i++) {
      const value = row[names[i]!];
      if (value === null) writer.int32(-1);
      else found[i]!.write(writer, value as never);
    }
    if (writer.size >= CHUNK_BYTES) yield writer.take();
  }
  writer.int16(-1);
  yield writer.take();
}
