import type { IncomingMessage, ServerResponse } from 'node:http';
import { WARNING_HEADER } from './internal/headers.ts';
import {
  checkInbound,
  type InboundOptions,
  REFUSAL_TYPE,
  refusalText,
  resolveInboundOptions,
} from './internal/inbound.ts';

export type { InboundOptions };

/** What the Express and connect middleware takes. */
export interface ConstitutionExpressOptions extends InboundOptions {}

/** A middleware for Express, connect and whatever else calls `(request, response, next)` with Node's objects. */
export type ConstitutionMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Makes a middleware that checks the hash of every request that reaches it, and stamps the responses of those it lets through.
 *
 * A request without an accepted hash is answered with 403 and a {@link ConstitutionRefusal}, unless the
 * constitution's mode lets it through. `exempt` is compared with the path as it came, query aside:
 * `/health` exempts neither `/health/`, `/HEALTH` nor `/health/x`. With `field` it belongs behind the body parser.
 *
 * @example
 * app.use(constitutionMiddleware({ constitution, exempt: ['/health'] }));
 *
 * @throws TypeError when an option is wrong.
 */
export function constitutionMiddleware(given: ConstitutionExpressOptions): ConstitutionMiddleware {
  const options = resolveInboundOptions('constitutionMiddleware', given);
  const { constitution, exempt } = options;
  return (request, response, next) => {
    if (exempt.size > 0 && exempt.has(pathOf(request))) {
      constitution.stamp(response);
      return next();
    }
    const result = checkInbound(options, request.headers, (request as { body?: unknown }).body);
    // A refusal is not stamped: it must not hand its caller the hash to come back with.
    if (result !== 'ok' && constitution.mode === 'enforce') {
      const text = refusalText(result);
      response.statusCode = 403;
      response.setHeader('content-type', REFUSAL_TYPE);
      response.setHeader('content-length', Buffer.byteLength(text));
      response.end(text);
      return;
    }
    constitution.stamp(response);
    if (result !== 'ok' && constitution.mode === 'warn') response.setHeader(WARNING_HEADER, result);
    next();
  };
}

function pathOf(request: IncomingMessage): string {
  // A router that is mounted somewhere cuts that from `url`, and keeps the whole here.
  const url = (request as { originalUrl?: string }).originalUrl ?? request.url ?? '';
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
