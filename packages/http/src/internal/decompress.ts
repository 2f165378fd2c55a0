import { brotliDecompress, gunzip, inflate, inflateRaw, zstdDecompress } from 'node:zlib';
import { TooLarge } from './failure.ts';

/** What the client can undo, most wanted first. */
export const ACCEPT_ENCODING = 'gzip, br, zstd, deflate';

// More is an attack on the client's memory and time, not a way to save bytes.
const MOST_ENCODINGS = 5;

/** The body's encodings can't be undone. */
export class BadEncoding extends Error {}

type Decoder = (
  bytes: Buffer,
  options: { maxOutputLength: number },
  callback: (error: Error | null, result: Buffer) => void,
) => void;

// Not an object: servers must not name what objects inherit.
const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  ['br', brotliDecompress],
  ['zstd', zstdDecompress],
  [
    'deflate',
    // Some servers send the bare stream under this name.
    (bytes, options, callback) => ((bytes[0]! & 0x0f) === 8 ? inflate : inflateRaw)(bytes, options, callback),
  ],
]);

function decode(name: string, bytes: Buffer, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const decoder = DECODERS.get(name);
    if (decoder === undefined) {
      reject(new BadEncoding(`the encoding '${name.slice(0, 20)}' is not known`));
      return;
    }
    decoder(bytes, { maxOutputLength: Math.max(1, maxBytes) }, (error, result) => {
      if (error === null) resolve(result);
      else if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') reject(new TooLarge(maxBytes));
      else reject(new BadEncoding(`the body is not ${name}`, { cause: error }));
    });
  });
}

/**
 * Undoes a body's encodings, the last one first; never holds more than `maxBytes` of result.
 *
 * @throws BadEncoding or TooLarge.
 */
export async function decompress(
  bytes: Buffer,
  contentEncoding: string | string[],
  maxBytes: number,
): Promise<Buffer> {
  const names = String(contentEncoding)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
  if (names.length > MOST_ENCODINGS)
    throw new BadEncoding(`${names.length} encodings, at most ${MOST_ENCODINGS}`);
  let result = bytes;
  if (result.length === 0) return result;
  for (const name of names.reverse()) result = await decode(name, result, maxBytes);
  return result;
}
