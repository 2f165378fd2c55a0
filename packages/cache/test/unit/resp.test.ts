import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeCommand,
  ProtocolError,
  type Reply,
  ReplyDecoder,
  ReplyError,
} from '../../src/internal/resp.ts';

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const line = fc.stringMatching(/^[a-zA-Z ä]{0,20}$/);
const reply: fc.Arbitrary<Reply> = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { depthSize: 'small', maxDepth: 4 },
    bytes,
    fc.maxSafeInteger().map((number) => number + 0),
    fc.constant(null),
    line.map((text) => new ReplyError(text)),
    fc.array(tie('reply'), { maxLength: 6 }),
  ),
})).reply;

/** As a server writes it. */
function written(item: Reply): Buffer {
  if (item === null) return Buffer.from('$-1\r\n');
  if (typeof item === 'number') return Buffer.from(`:${item}\r\n`);
  if (item instanceof ReplyError) return Buffer.from(`-${item.message}\r\n`);
  if (Array.isArray(item)) return Buffer.concat([Buffer.from(`*${item.length}\r\n`), ...item.map(written)]);
  return Buffer.concat([Buffer.from(`$${item.length}\r\n`), item, Buffer.from('\r\n')]);
}

/** What a decoder makes of `whole`, cut at these places. */
function decoded(whole: Buffer, cuts: readonly number[]): Reply[] {
  const replies: Reply[] = [];
  const decoder = new ReplyDecoder((item) => replies.push(item));
  const places = [...cuts.map((cut) => cut % (whole.length + 1)), 0, whole.length].sort((a, b) => a - b);
  for (let index = 1; index < places.length; index++) {
    const piece = whole.subarray(places[index - 1], places[index]);
    if (piece.length > 0) decoder.write(Buffer.from(piece));
  }
  return replies;
}

test('replies come out as they were written, however they were cut', () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 8 }), (replies, cuts) => {
      expect(decoded(Buffer.concat(replies.map(written)), cuts)).toEqual(replies);
    }),
    { numRuns: 1_000 },
  );
});

test('replies come out whole when they arrive byte by byte', () => {
  const replies = [[Buffer.from('a\r\n$1\r\n'), null, -7, [], [new ReplyError('ERR')]], Buffer.from('')];
  const whole = Buffer.concat([...replies.map(written), Buffer.from('+OK\r\n*-1\r\n')]);
  const cuts = Array.from({ length: whole.length }, (_, index) => index);
  expect(decoded(whole, cuts)).toEqual([...replies, Buffer.from('OK'), null]);
});

test('what is not the protocol is refused, and nothing is made of it', () => {
  const garbage = [
    'HTTP/1.1 400 Bad Request\r\n',
    '$x\r\n',
    '$\r\n',
    '$-2\r\n',
    '$1\r\nab\r\n',
    '$1\r\na\n\r',
    '$1\ra\r\n',
    '$536870913\r\n',
    '*4294967296\r\n',
    ':12345678901234567890123\r\n',
    '+OK\rx',
    `+${'x'.repeat(70_000)}`,
    '*1\r\n'.repeat(9),
    '_\r\n',
  ];
  for (const text of garbage) {
    const replies: Reply[] = [];
    const decoder = new ReplyDecoder((item) => replies.push(item));
    expect(() => decoder.write(Buffer.from(text)), text.slice(0, 20)).toThrow(ProtocolError);
    expect(replies).toEqual([]);
  }
});

test('bytes that mean nothing end in a refusal, never in another error', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), (chunks) => {
      const decoder = new ReplyDecoder(() => {});
      try {
        for (const chunk of chunks) decoder.write(Buffer.from(chunk));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }),
    { numRuns: 1_000 },
  );
});

test('a value in many pieces is put together once, not once a piece', () => {
  const value = Buffer.alloc(32 * 1024 * 1024, 'v');
  const whole = written([Buffer.from('state'), value, Buffer.from('last')]);
  const cuts = Array.from({ length: 32 * 64 }, (_, index) => index * 16_384);
  const copiedAtMost = 3;
  const concat = Buffer.concat;
  let copied = 0;
  Buffer.concat = (list, length) => {
    copied++;
    return concat(list, length);
  };
  try {
    const [items] = decoded(whole, cuts) as [Buffer[]];
    expect(items[1]?.equals(value)).toBe(true);
    expect(copied).toBeLessThanOrEqual(copiedAtMost);
  } finally {
    Buffer.concat = concat;
  }
});

const argument = fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.integer(), bytes);

test('a command is written as the array of the bytes of its arguments', () => {
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1, maxLength: 20 }), (args) => {
      const [items] = decoded(Buffer.from(encodeCommand(args)), []);
      expect(items).toEqual(args.map((arg) => (arg instanceof Buffer ? arg : Buffer.from(String(arg)))));
    }),
    { numRuns: 500 },
  );
});

test('a half of a surrogate pair is written with the length that it has as bytes', () => {
  const [items] = decoded(Buffer.from(encodeCommand(['GET', '\ud800x'])), []);
  expect(items).toEqual([Buffer.from('GET'), Buffer.from('\ud800x')]);
});
