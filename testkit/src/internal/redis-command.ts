import { connect } from 'node:net';

/**
 * Sends one command over a connection of its own and resolves with the first line or bulk of the reply.
 *
 * Arrays are not read. An error reply is a resolved text that begins with `-`.
 */
export function redisCommand(port: number, ...args: readonly (string | number)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let reply = '';
    socket.setTimeout(1_000, () => socket.destroy(new Error('no reply within 1,000 ms')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without a reply')));
    socket.on('data', (chunk) => {
      reply += chunk.toString('latin1');
      const text = parseReply(reply);
      if (text === undefined) return;
      resolve(text);
      socket.destroy();
    });
    const parts = args.map(String).map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
    socket.write(`*${parts.length}\r\n${parts.join('')}`);
  });
}

function parseReply(reply: string): string | undefined {
  const end = reply.indexOf('\r\n');
  if (end === -1) return undefined;
  if (reply[0] !== '$') return reply[0] === '-' ? reply.slice(0, end) : reply.slice(1, end);
  const length = Number(reply.slice(1, end));
  if (length === -1) return '';
  return reply.length >= end + 4 + length ? reply.slice(end + 2, end + 2 + length) : undefined;
}
