import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { arrayText, sortByKey, toBatches } from '../../src/bulk/columns.ts';
import { copyChunks } from '../../src/bulk/copy-rows.ts';
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
          const batch = {
            columns: [column('a', 'text'), column('b', 'text')],
            values: [rows.map(([a]) => a), rows.map(([, b]) => b)],
            count: rows.length,
          };
          const lines = [...copyChunks(batch)].join('').split('\n');
          expect(lines.pop()).toBe('');
          expect(lines.map((line) => line.split('\t').map(restored))).toEqual(rows);
        },
      ),
    );
  });
});

describe('sortByKey', () => {
  it('leaves one row a key, in the order of keys, by rule', () => {
    const info = table(column('id', 'integer'), column('n', 'integer'));
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1 }),
        fc.constantFrom('last' as const, 'first' as const),
        (ids, rule) => {
          const [given] = toBatches(
            't',
            info,
            ids.map((id, n) => ({ id, n })),
          );
          const { batch, isExact } = sortByKey(given!, ['id'], rule);
          const expected = new Map<number, number>();
          ids.forEach((id, n) => {
            if (rule === 'last' || !expected.has(id)) expected.set(id, n);
          });
          const sorted = [...expected].sort(([a], [b]) => a - b);
          expect(isExact).toBe(true);
          expect(batch.values).toEqual([sorted.map(([id]) => String(id)), sorted.map(([, n]) => String(n))]);
        },
      ),
    );
  });

  it('puts rows that name different columns in different batches, and refuses a column that is not there', () => {
    const info = table(column('id', 'integer'), column('n', 'integer'));
    const batches = toBatches('t', info, [
      { id: 1, n: 1 },
      { n: 2, id: 2 },
      { id: 3 },
      { id: 4, n: undefined },
    ]);
    expect(batches.map(({ count, columns }) => [count, columns.length])).toEqual([
      [2, 2],
      [2, 1],
    ]);
    expect(batches[0]!.values).toEqual([
      ['1', '2'],
      ['1', '2'],
    ]);
    expect(() => toBatches('t', info, [{ x: 1 }])).toThrow('table t has no column x');
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
