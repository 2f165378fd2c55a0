import { HttpCorruptError } from '../errors.ts';
import { HttpResponse, jsonOf } from '../response.ts';
import type { Decode } from './call.ts';

export const asResponse: Decode = (call, status, headers, bytes) =>
  new HttpResponse(status, headers, bytes, call.attempts);

export const asJson: Decode = (call, _status, _headers, bytes) => {
  try {
    return jsonOf(bytes);
  } catch (error) {
    throw new HttpCorruptError('HOTPATH_HTTP_BAD_BODY', 'the body is not JSON', {
      ...call.details(),
      cause: error,
    });
  }
};
