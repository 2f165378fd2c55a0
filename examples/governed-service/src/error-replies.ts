import { isHotpathError } from '@hotpath/core';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { InvalidField } from './validation.ts';

/** Turns whatever a route failed with into an answer that tells the client what to do, and nothing of the inside. */
export function sendError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  if (error instanceof InvalidField) {
    reply.code(400).send({ error: { code: 'INVALID_FIELD', field: error.field, message: error.message } });
    return;
  }
  if (isHotpathError(error)) {
    const status = STATUS_BY_FAMILY[error.family as keyof typeof STATUS_BY_FAMILY] ?? 500;
    const retryAfterMs = (error as { retryAfterMs?: number }).retryAfterMs ?? 1_000;
    if (status === 503) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
    reply.code(status).send({ error: { code: error.code, message: messageFor(status, error) } });
    return;
  }
  const status = (error as FastifyError).statusCode;
  if (status !== undefined && status >= 400 && status < 500) {
    const { code, message } = error as FastifyError;
    reply.code(status).send({ error: { code, ...(status === 400 ? { field: 'body' } : {}), message } });
    return;
  }
  console.error(`${request.method} ${request.routeOptions.url ?? request.url} failed:`, error);
  reply.code(500).send({ error: { code: 'INTERNAL', message: 'the request could not be answered' } });
}

const STATUS_BY_FAMILY = {
  governance: 403,
  rejected: 503,
  timeout: 503,
  unavailable: 503,
} as const;

function messageFor(status: number, error: Error): string {
  return status === 503 ? 'the service can not answer this now; try again' : error.message;
}
