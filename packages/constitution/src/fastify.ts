import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { CheckResult } from './constitution.ts';
import { FINGERPRINT_HEADER, HASH_HEADER, WARNING_HEADER } from './internal/headers.ts';
import {
  checkInbound,
  type InboundOptions,
  REFUSAL_TYPE,
  type ResolvedInboundOptions,
  refusalText,
  resolveInboundOptions,
} from './internal/inbound.ts';

export type { InboundOptions };

/** What the Fastify plugin takes. */
export interface ConstitutionFastifyOptions extends InboundOptions {}

/**
 * Checks the hash of every request of the instance it is registered on, and stamps every response that is not a refusal.
 *
 * A request without an accepted hash is answered with 403 and a {@link ConstitutionRefusal}, unless the
 * constitution's mode lets it through. `exempt` names routes as they were registered (`/health`, `/v1/items/:id`);
 * what matches no route is never exempt. With `field` the check comes after the body was parsed; what could
 * not be parsed is answered before it, without a stamp.
 *
 * @example
 * await app.register(constitutionPlugin, { constitution, exempt: ['/health'] });
 *
 * Registration fails with a TypeError when an option is wrong.
 */
export const constitutionPlugin: FastifyPluginCallback<ConstitutionFastifyOptions> = (
  app: FastifyInstance,
  given: ConstitutionFastifyOptions,
  done: (error?: Error) => void,
): void => {
  // Fastify adds options of its own to those of a plugin.
  const {
    prefix: _,
    logLevel: __,
    logSerializers: ___,
    ...own
  } = given as ConstitutionFastifyOptions & Record<string, unknown>;
  let options: ResolvedInboundOptions;
  try {
    options = resolveInboundOptions('constitutionPlugin', own);
  } catch (error) {
    // Fastify loads plugins in a later turn, where what is thrown reaches nobody.
    done(error as Error);
    return;
  }
  const { constitution, exempt, field } = options;

  const isExempt = (request: FastifyRequest): boolean => {
    const route = request.routeOptions.url;
    return route !== undefined && exempt.has(route);
  };

  const stamp = (reply: FastifyReply): void => {
    reply.header(HASH_HEADER, constitution.active);
    const whole = constitution.fingerprint;
    if (whole !== undefined) reply.header(FINGERPRINT_HEADER, whole);
  };

  const settle = (result: CheckResult, reply: FastifyReply, next: () => void): void => {
    // A refusal is not stamped: it must not hand its caller the hash to come back with.
    if (result !== 'ok' && constitution.mode === 'enforce') {
      reply.code(403).header('content-type', REFUSAL_TYPE).send(refusalText(result));
      return;
    }
    stamp(reply);
    if (result !== 'ok' && constitution.mode === 'warn') reply.header(WARNING_HEADER, result);
    next();
  };

  app.addHook('onRequest', (request, reply, next) => {
    const exempted = isExempt(request);
    if (exempted) stamp(reply);
    if (exempted || field !== undefined) return next();
    settle(constitution.checkHeaders(request.headers), reply, next);
  });

  if (field !== undefined) {
    app.addHook('preValidation', (request, reply, next) => {
      if (isExempt(request)) return next();
      settle(checkInbound(options, request.headers, request.body), reply, next);
    });
  }
  done();
};

// Fastify would otherwise keep the hooks from the routes beside the plugin.
Object.assign(constitutionPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@hotpath/constitution',
  [Symbol.for('plugin-meta')]: { name: '@hotpath/constitution', fastify: '5.x' },
});
