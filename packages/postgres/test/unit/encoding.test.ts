import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/bulk/byte-writer.ts';
import { copyChunks } from '../../src/bulk/copy-rows.ts';
import { arrayText, encodeValue } from '../../src/bulk/encode-text.ts';
import { groupRows, sortByKey } from '../../src/bulk/rows.ts';
import type { ColumnInfo, TableInfo } from '../../src/catalog.ts';
import { quoteName, quoteText } from '../../src/identifiers.ts';
import { CommandTag } from '../../src/wire/command-tag.ts';
import { MessageWriter } from '../../src/wire/message-writer.ts';
import { WireReader } from '../../src/wire/wire-reader.ts';

const column = (name: string, type: string): ColumnInfo => ({
  name,
  type,
  isArray: false,
  isJson: false,
  hasEquality: true,
  hasExactText: true,
  looseCollation: null,
  nullable: true,
});
const table = (...columns: ColumnInfo[]): TableInfo => ({
  columns: new Map(columns.map((info) => [info.name, info])),
  primaryKey: ['id'],
});

describe('arrayText', () => {
  it('is read back as it was by the driver', () => {
    const parse = pg.types.getTypeParser(1009 as never, 'text') as unknown as (
      text: string,
    ) => (string | null)[];
    const text = fc.option(
      fc.oneof(fc.string(), fc.constantFrom('NULL', 'null', '', '{}', 'a,b', '"', '\\', ' x ', 'nUlL')),
      { nil: null },
    );
    fc.assert(
      fc.property(fc.array(text), (values) => {
        expect(parse(arrayText(values))).toEqual(values);
      }),
    );
  });
});

describe('copyChunks', () => {
  it('keeps every character apart from the separators', () => {
    const restored = (text: string) =>
      text === '\\N'
        ? null
        : text.replace(/\\(.)/g, (_, c: string) => ({ t: '\t', n: '\n', r: '\r' })[c] ?? c);
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.option(
              fc.string({ unit: fc.constantFrom('a', '\t', '\n', '\r', '\\', 'N', 'é', '"', '\u2028') }),
              { nil: null },
            ),
            fc.string(),
          ),
          {
            minLength: 1,
          },
        ),
        (rows) => {
          const group = {
            columns: [column('a', 'text'), column('b', 'text')],
            rows: rows.map(([a, b]) => ({ a, b })),
          };
          const lines = Buffer.concat([...copyChunks(group)])
            .toString()
            .split('\n');
          expect(lines.pop()).toBe('');
          expect(lines.map((line) => line.split('\t').map(restored))).toEqual(rows);
        },
      ),
    );
  });
});

describe('sortByKey', () => {
  const info = table(column('id', 'integer'), column('n', 'integer'));
  const groupOf = (rows: readonly object[], of = info) => groupRows('t', of, rows as never)[0]!;

  it('leaves one row a key, in the order of keys, by rule; rows without a key all stay', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.integer({ min: 0, max: 20 }), { nil: null }), { minLength: 1 }),
        fc.constantFrom('last' as const, 'first' as const),
        fc.boolean(),
        (ids, rule, asText) => {
          const rows = ids.map((id, n) => ({ id: asText && id !== null ? String(id) : id, n }));
          const { group, isExact } = sortByKey(groupOf(rows), ['id'], rule);
          const expected = new Map<number, number>();
          ids.forEach((id, n) => {
            if (id !== null && (rule === 'last' || !expected.has(id))) expected.set(id, n);
          });
          const sorted = [...expected].sort(([a], [b]) => a - b).map(([, n]) => n);
          const withNull = ids.flatMap((id, n) => (id === null ? [n] : []));
          expect(isExact).toBe(true);
          expect(group.rows.map(({ n }) => n)).toEqual([...sorted, ...withNull]);
        },
      ),
    );
  });

  it('leaves it to the server where the text of a key does not tell', () => {
    const big = table(column('id', 'bigint'));
    const exact = (rows: readonly object[], of = big) => sortByKey(groupOf(rows, of), ['id'], 'last').isExact;
    expect(exact([{ id: '12' }, { id: 13n }, { id: -1 }])).toBe(true);
    expect(exact([{ id: '012' }])).toBe(false);
    expect(exact([{ id: '-0' }])).toBe(false);
    expect(exact([{ id: 'x' }], info)).toBe(false);
    expect(exact([{ id: 1.5 }], info)).toBe(false);
  });

  it('puts rows that name different columns in different groups, and refuses what is no row or no column', () => {
    const groups = groupRows('t', info, [
      { id: 1, n: 1 },
      { n: 2, id: 2 },
      { id: 3 },
      { id: 4, n: undefined },
    ]);
    expect(groups.map(({ rows, columns }) => [rows.length, columns.length])).toEqual([
      [2, 2],
      [2, 1],
    ]);
    expect(() => groupRows('t', info, [{ x: 1 }])).toThrow('table t has no column x');
    for (const wrong of [null, undefined, 5, 'text', [1]]) {
      expect(() => groupRows('t', info, [{ id: 1 }, wrong as never])).toThrow(
        'row 1 for t must be an object',
      );
    }
  });
});

describe('encodeValue', () => {
  it('names the column of a value that can not be written', () => {
    const circular: unknown[] = [];
    circular.push({ circular });
    for (const [value, type] of [
      [new Date(Number.NaN), 'timestamp with time zone'],
      [Symbol('s'), 'text'],
      [() => 1, 'text'],
      [circular, 'text'],
    ] as const) {
      expect(() => encodeValue(value, column('c', type))).toThrow(/^column c: /);
    }
    const json = { ...column('j', 'jsonb'), isJson: true };
    for (const value of [1n, { n: 1n }, circular, undefined, Symbol('s')].filter(
      (each) => each !== undefined,
    ))
      expect(() => encodeValue(value, json)).toThrow(/^column j: /);
  });
});

describe('ByteWriter', () => {
  it('writes milliseconds as microseconds without losing one', () => {
    const far = 8.64e15;
    fc.assert(
      fc.property(fc.integer({ min: -far / 30, max: far / 30 }), (ms) => {
        const writer = new ByteWriter();
        writer.fieldMicros(ms);
        const bytes = writer.take();
        expect(bytes.readInt32BE(0)).toBe(8);
        expect(bytes.readBigInt64BE(4)).toBe(BigInt(ms) * 1000n);
      }),
    );
  });

  it('never writes again into bytes that it has handed out', () => {
    const writer = new ByteWriter();
    const taken = Array.from({ length: 30 }, (_, i) => {
      writer.fieldText(String.fromCharCode(97 + i).repeat(20_000));
      return writer.take();
    });
    taken.forEach((bytes, i) => {
      const text = String.fromCharCode(97 + i).repeat(20_000);
      expect(bytes.toString('utf8', 4)).toBe(text);
      expect(bytes.readInt32BE(0)).toBe(Buffer.byteLength(text));
    });
  });
});

describe('identifiers', () => {
  it('are quoted so that nothing gets out of them', () => {
    expect(quoteName('a"; drop')).toBe('"a""; drop"');
    expect(quoteText("it's \\ ok")).toBe(" E'it''s \\\\ ok'");
  });
});

describe('CommandTag', () => {
  it.each([
    ['SELECT 12', 'SELECT', 12],
    ['INSERT 0 5', 'INSERT', 5],
    ['CREATE INDEX', 'CREATE', null],
    ['COPY 1000000', 'COPY', 1_000_000],
    ['SET', 'SET', null],
    ['SELECT', 'SELECT', null],
  ])('reads %s', (text, command, rowCount) => {
    const bytes = Buffer.from(`xx${text}\0`);
    const tag = new CommandTag();
    tag.read(bytes, 2, bytes.length);
    expect(tag).toMatchObject({ command, rowCount });
  });
});

describe('MessageWriter', () => {
  it('never writes again into bytes that it has handed out, whatever their size', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 9_000, size: 'max' }), { maxLength: 6 }), (texts) => {
        const writer = new MessageWriter();
        const taken = texts.map((text) => {
          writer.query(text);
          return writer.take();
        });
        taken.forEach((bytes, i) => {
          expect(bytes.readInt32BE(1)).toBe(bytes.length - 1);
          expect(bytes.toString('utf8', 5, bytes.length - 1)).toBe(Buffer.from(texts[i]!).toString());
        });
      }),
    );
  });

  it('takes a half-written message back when a value can not be written', () => {
    const writer = new MessageWriter();
    writer.sync();
    const circular: unknown[] = [{}];
    (circular[0] as { self: unknown }).self = circular[0];
    expect(() => writer.bind('', circular)).toThrow();
    writer.sync();
    expect(writer.take()).toEqual(Buffer.from('S\0\0\0\x04S\0\0\0\x04'));
  });
});

describe('WireReader', () => {
  it('gives every message whole and in order, however the bytes were cut', () => {
    const message = (type: string, body: string) => {
      const bytes = Buffer.alloc(5 + body.length);
      bytes.write(`${type}\0\0\0\0${body}`, 'latin1');
      bytes.writeInt32BE(4 + body.length, 1);
      return bytes;
    };
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.constantFrom('D', 'C', 'N'), fc.string({ unit: 'binary-ascii', maxLength: 50 })),
          { minLength: 1 },
        ),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (messages, cuts) => {
          const seen: [string, string][] = [];
          const note = (type: string) => (buffer: Buffer, start: number) =>
            void seen.push([
              type,
              buffer.toString('latin1', start, start - 1 - 4 + 1 + buffer.readInt32BE(start - 4)),
            ]);
          const exchange = { onDataRow: note('D'), onCommandComplete: note('C') };
          const connection = new EventEmitter() as never as { attachListeners(stream: EventEmitter): void };
          connection.attachListeners = (stream) =>
            void stream.on('data', (bytes: Buffer) => seen.push(['N', bytes.toString('latin1', 5)]));
          const stream = new EventEmitter();
          new WireReader({ exchange } as never, connection as never, stream);
          const bytes = Buffer.concat(messages.map(([type, body]) => message(type, body)));
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const next = at + cuts[i % cuts.length]!;
            stream.emit('data', bytes.subarray(at, next));
            at = next;
          }
          expect(seen).toEqual(messages);
        },
      ),
    );
  });
});
