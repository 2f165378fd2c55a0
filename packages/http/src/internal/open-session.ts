import { type ClientHttp2Session, connect } from 'node:http2';
import type { Socket } from 'node:net';
import type { OriginPool } from './origin-pool.ts';

/** Node's 64 KiB would make a large body wait for its acknowledgements. */
const WINDOW_BYTES = 1024 * 1024;

/**
 * Starts HTTP/2 on a connected socket, and calls back when the peer has said how many streams it takes.
 */
export function openSession(
  origin: OriginPool,
  socket: Socket,
  maxHeaderBytes: number,
  callback: (error: unknown, session: ClientHttp2Session | undefined) => void,
): void {
  const session = connect(origin.url, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: maxHeaderBytes },
  });
  let settled = false;
  const settle = (error: unknown): void => {
    if (settled) return;
    settled = true;
    if (error === null) callback(null, session);
    else {
      session.destroy();
      callback(error, undefined);
    }
  };
  session.once('remoteSettings', () => settle(null));
  session.once('error', settle);
  session.once('close', () => settle(new Error('the session closed before it was ready')));
}
