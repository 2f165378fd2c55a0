import { duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import type { Reply } from '../../src/internal/resp.ts';
import { Wire } from '../../src/internal/wire.ts';

function open() {
  const [stream, server] = duplexPair();
  const heardBefore: unknown[] = [];
  stream.on('data', (chunk) => heardBefore.push(chunk));
  const broken: Error[] = [];
  const wire = new Wire(stream, (error) => broken.push(error));
  const replies: (Reply | string)[] = [];
  const ask = (name: string): boolean => wire.send([name], (reply) => replies.push(`${name}: ${reply}`));
  const answer = async (bytes: string): Promise<void> => {
    server.write(bytes);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { stream, heardBefore, broken, replies, ask, answer };
}

test('answers go to those who asked, in their order, and whoever listened before hears of none', async () => {
  const { heardBefore, broken, replies, ask, answer } = open();
  expect([ask('a'), ask('b')]).toEqual([true, true]);
  await answer('+1\r\n:2');
  expect(replies).toEqual(['a: 1']);
  expect(ask('c')).toBe(true);
  await answer('\r\n-3\r\n');
  expect(replies).toEqual(['a: 1', 'b: 2', 'c: Error: 3']);
  expect(heardBefore).toEqual([]);
  expect(broken).toEqual([]);
});

for (const [what, bytes] of [
  ['an answer that nobody asked for', '+1\r\n+2\r\n'],
  ['what is no answer', '+1\r\nHTTP/1.1 400\r\n'],
] as const) {
  test(`${what} ends it, once: nothing that follows is believed`, async () => {
    const { broken, replies, ask, answer } = open();
    ask('a');
    await answer(bytes);
    await answer('+3\r\n');
    expect(replies).toEqual(['a: 1']);
    expect(broken).toHaveLength(1);
    expect(ask('b')).toBe(false);
  });
}

test('a socket that is closing takes no command', () => {
  const { stream, ask, replies } = open();
  stream.end();
  expect(ask('a')).toBe(false);
  expect(replies).toEqual([]);
});
