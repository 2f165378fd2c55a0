import { requestChannel } from '../telemetry.ts';
import type { Call } from './call.ts';
import { headerOf } from './headers.ts';
import { redactUrl } from './target.ts';

/** Tells how a request has ended. */
export function publishRequest(call: Call, error: unknown): void {
  const { method, origin, path, attempts, queuedMs, headers } = call;
  requestChannel.publish({
    method,
    origin: origin.key,
    path: redactUrl(path),
    status: call.details().status,
    error,
    attempts,
    queuedMs,
    totalMs: call.engine.clock.now() - call.startedMs,
    traceparent: headerOf(headers, 'traceparent'),
  });
}
