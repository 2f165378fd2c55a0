import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventParser, EventTooLarge } from '../../src/internal/event-parser.ts';

function parse(pieces: readonly Buffer[]): unknown[] {
  const parser = new EventParser(1_000_000);
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('an event stream', () => {
  it('means the same however it is cut into pieces, with any line ends', () => {
    const line = fc.constantFrom(
      'data: a',
      'data:b ü€😀',
      'event: x',
      'id: 7',
      'id',
      ': comment',
      'retry: 5',
      'data',
      '',
      '',
      'odd',
      'data:  two',
    );
    const end = fc.constantFrom('\n', '\r\n');
    fc.assert(
      fc.property(fc.array(line), end, fc.array(fc.integer({ min: 1, max: 9 })), (lines, lineEnd, cuts) => {
        const bytes = Buffer.from(lines.map((one) => one + lineEnd).join(''));
        const pieces: Buffer[] = [];
        let start = 0;
        for (const cut of cuts) {
          pieces.push(bytes.subarray(start, start + cut));
          start += cut;
        }
        pieces.push(bytes.subarray(start));
        expect(parse(pieces)).toEqual(parse([bytes]));
      }),
    );
  });

  it('keeps the last id, drops a byte-order mark and events without data', () => {
    expect(
      parse([Buffer.from('\ufeffid: 1\ndata: a\n\nevent: none\n\ndata: b\r\rid: 2\0\ndata: c\n\n')]),
    ).toEqual([
      { event: 'message', data: 'a', id: '1' },
      { event: 'message', data: 'b', id: '1' },
      { event: 'message', data: 'c', id: '1' },
    ]);
  });

  it('holds no more of an event than it may, in one line or in many', () => {
    expect(() => new EventParser(10).push(Buffer.from('data: 0123456789abc'))).toThrow(EventTooLarge);
    expect(() => new EventParser(10).push(Buffer.from('data: 01234\n'.repeat(5)))).toThrow(EventTooLarge);
  });
});
