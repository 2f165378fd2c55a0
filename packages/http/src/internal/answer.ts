import { HttpCorruptError, HttpStatusError } from '../errors.ts';
import type { Attempt } from './attempt.ts';
import type { Call } from './call.ts';
import { notJson, validate } from './decode.ts';
import { BadEncoding, decompress } from './decompress.ts';
import { TooLarge, toFailure } from './failure.ts';
import { followRedirect, isRedirect } from './redirect-step.ts';
import { retryAfterMs } from './retry-after.ts';
import { retryOrFail } from './retrying.ts';

function isAccepted({ spec }: Call, status: number): boolean {
  return spec.acceptStatus === undefined ? status < 400 : spec.acceptStatus(status);
}

function isFollowed({ spec }: Call, attempt: Attempt): boolean {
  return (
    spec.redirect !== undefined &&
    isRedirect(attempt.status) &&
    attempt.responseHeaders.location !== undefined
  );
}

/** Whether an answer is the caller's, rather than one to follow, to try again or to fail with. */
export function isWhole(call: Call, attempt: Attempt): boolean {
  return isAccepted(call, attempt.status) && !isFollowed(call, attempt);
}

/** Does with a whole answer what it calls for: gives it to the caller, follows it, or tries again. */
export function takeAnswer(call: Call, attempt: Attempt): void {
  if (isFollowed(call, attempt)) {
    follow(call, attempt);
    return;
  }
  const { status, responseHeaders } = attempt;
  const accepted = isAccepted(call, status);
  if (status === 429) {
    attempt.target.limiter?.pause(retryAfterMs(responseHeaders, call.engine.clock.wallTime()) ?? 0);
  }
  const encoding = call.engine.options.decompress ? responseHeaders['content-encoding'] : undefined;
  if (encoding === undefined) finish(call, attempt, attempt.bytes, accepted);
  else void undo(call, attempt, encoding, accepted);
}

async function undo(
  call: Call,
  attempt: Attempt,
  encoding: string | string[],
  accepted: boolean,
): Promise<void> {
  let bytes: Buffer;
  try {
    bytes = await decompress(attempt.bytes, encoding, call.maxResponseBytes);
  } catch (error) {
    // What the server says by its status matters more than why its text can't be read.
    if (!accepted) finish(call, attempt, Buffer.alloc(0), false);
    else if (error instanceof TooLarge) call.fail(toFailure(error, call.details()).error);
    else {
      const message = error instanceof BadEncoding ? error.message : 'the body could not be decompressed';
      const details = { ...call.details(), cause: error };
      call.fail(new HttpCorruptError('HOTPATH_HTTP_BAD_ENCODING', message, details));
    }
    return;
  }
  finish(call, attempt, bytes, accepted);
}

function finish(call: Call, attempt: Attempt, bytes: Buffer, accepted: boolean): void {
  const { decode, schema, retry } = call.spec;
  if (!accepted || decode === undefined) {
    const waitMs = retryAfterMs(attempt.responseHeaders, call.engine.clock.wallTime());
    const error = statusError(call, attempt, bytes, waitMs);
    retryOrFail(call, error, !accepted && retry?.statuses.has(attempt.status) === true, waitMs);
    return;
  }
  let value: unknown;
  try {
    value = decode(attempt.status, attempt.responseHeaders, bytes, call.attempts);
  } catch (error) {
    call.fail(notJson(error, call.details()));
    return;
  }
  if (schema === undefined) call.succeed(value);
  else {
    validate(schema, value, call.details()).then(
      (fitting) => call.succeed(fitting),
      (error) => call.fail(error),
    );
  }
}

function statusError(
  call: Call,
  attempt: Attempt,
  bytes: Buffer,
  waitMs: number | undefined,
): HttpStatusError {
  const { status, responseHeaders } = attempt;
  const details = { ...call.details(), status, retryAfterMs: waitMs };
  return new HttpStatusError('HOTPATH_HTTP_STATUS', `answered with status ${status}`, details, {
    headers: responseHeaders,
    body: bytes.toString(),
  });
}

function follow(call: Call, attempt: Attempt): void {
  const { engine, spec } = call;
  const { status, responseHeaders } = attempt;
  const refuse = (why: string): void => {
    const details = { ...call.details(), status };
    call.fail(
      new HttpStatusError('HOTPATH_HTTP_REDIRECT_REFUSED', `the redirect is not followed: ${why}`, details, {
        headers: responseHeaders,
        body: attempt.bytes.toString(),
      }),
    );
  };
  if (call.redirects >= spec.redirect!.max) {
    refuse(`more than ${spec.redirect!.max} in a row`);
    return;
  }
  const from = {
    url: new URL(call.origin.key + call.path),
    method: call.method,
    headers: call.headers,
    body: call.body,
    isReplayable: call.isReplayable,
  };
  const to = followRedirect(from, status, responseHeaders.location, spec.redirect!);
  if (typeof to === 'string') {
    refuse(to);
    return;
  }
  try {
    call.redirect(engine.origins.of(to.url, to.method), to);
  } catch (error) {
    call.fail(error);
  }
}
