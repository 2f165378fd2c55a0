import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Milliseconds } from '@hotpath/core';
import type { PgClient } from './pg-client.ts';

const CANCEL_CODE = 80_877_102;
const SSL_CODE = 80_877_103;
const TLS_ACCEPTED = 0x53;

/**
 * Asks the server, on a connection of its own, to cancel what `client` is running; never rejects.
 *
 * It resolves when the server has closed that connection: the signal has been sent by then, so that
 * it can't hit a later query. Or when `timeoutMs` are over.
 */
export function sendCancelRequest(client: PgClient, timeoutMs: Milliseconds): Promise<void> {
  return new Promise((resolve) => {
    const { processID, secretKey, host, port } = client;
    if (processID === null || secretKey === null) return resolve();
    const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    const request = Buffer.allocUnsafe(16);
    request.writeInt32BE(16, 0);
    request.writeInt32BE(CANCEL_CODE, 4);
    request.writeInt32BE(processID, 8);
    request.writeInt32BE(secretKey, 12);
    if (client.ssl) encrypt(socket, client, request);
    else {
      // Not ended from here: PgBouncer 1.18 stops with a fatal error when a request to cancel is closed early.
      socket.resume();
      socket.write(request);
    }
  });
}

/** The key to cancel is a secret, so it goes the way that the session's own bytes go. */
function encrypt(socket: Socket, { ssl, host }: PgClient, request: Buffer): void {
  const ask = Buffer.allocUnsafe(8);
  ask.writeInt32BE(8, 0);
  ask.writeInt32BE(SSL_CODE, 4);
  socket.write(ask);
  socket.once('data', (answer: Buffer) => {
    if (answer[0] !== TLS_ACCEPTED) return socket.destroy();
    const secure = connectTls({
      socket,
      host,
      ...(typeof ssl === 'object' ? ssl : {}),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    secure.on('error', () => socket.destroy());
    secure.resume();
    secure.write(request);
    return undefined;
  });
}
