import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { isHotpathError } from '@hotpath/core';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { isOutage } from './outages.ts';
import { InvalidField } from './validation.ts';

/** Turns whatever a request failed with into an answer that tells the client what to do, and nothing of the inside. */
export function sendError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  if (error instanceof InvalidField) {
    reply.code(400).send({ error: { code: 'INVALID_FIELD', field: error.field, message: error.message } });
    return;
  }
  if (isOutage(error)) {
    const retryAfterMs = (error as { retryAfterMs?: number }).retryAfterMs ?? 1_000;
    const code = isHotpathError(error) ? error.code : 'DATABASE_UNAVAILABLE';
    reply.code(503).header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
    reply.send({ error: { code, message: 'the service can not answer this now; try again' } });
    return;
  }
  if (isHotpathError(error) && error.family === 'governance') {
    reply.code(403).send({ error: { code: error.code, message: error.message } });
    return;
  }
  const status = (error as FastifyError).statusCode;
  if (status !== undefined && status >= 400 && status < 500) {
    const { code, message } = error as FastifyError;
    const field = code === 'FST_ERR_BAD_URL' ? 'path' : 'body';
    const answer = { error: { code, ...(status === 400 ? { field } : {}), message } };
    if (status === 413) afterBody(request.raw, () => reply.code(status).send(answer));
    else reply.code(status).send(answer);
    return;
  }
  console.error(`${request.method} ${request.routeOptions.url ?? request.url} failed:`, error);
  reply.code(500).send({ error: { code: 'INTERNAL', message: 'the request could not be answered' } });
}

const LONGEST_REST_MS = 2_000;

/**
 * Drops the rest of a body that is too large, for a while, before it is answered: the answer ends the connection,
 * and a client that was still sending would find that reset, with the answer lost.
 */
function afterBody(request: IncomingMessage, answer: () => void): void {
  const end = (): void => {
    clearTimeout(timer);
    request.off('end', end).off('close', end);
    answer();
  };
  const timer = setTimeout(end, LONGEST_REST_MS);
  request.on('end', end).on('close', end).resume();
}

const PROTOCOL_ERRORS: Readonly<Record<string, readonly [status: string, code: string, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'REQUEST_TIMEOUT', 'the request did not arrive in time'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'HEADER_TOO_LARGE', 'the header is too large'],
};

/** Answers what is not HTTP, or did not arrive whole, and closes its connection. */
export function sendProtocolError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] = PROTOCOL_ERRORS[error.code ?? ''] ?? [
    '400 Bad Request',
    'MALFORMED_REQUEST',
    'the request is not well-formed HTTP',
  ];
  const body = JSON.stringify({ error: { code, message } });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
