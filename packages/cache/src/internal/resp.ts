/*
 * The protocol of Redis, RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/), as far as the
 * commands of this package need it.
 */

/** What is sent as one argument of a command. */
export type Argument = string | number | Buffer;

/** What Redis answers; bytes are views of what was received. */
export type Reply = Buffer | number | null | ReplyError | Reply[];

/** The server refused a command. */
export class ReplyError extends Error {}

/** What was received is not the protocol: nothing that follows on the connection can be understood. */
export class ProtocolError extends Error {}

const CR = 13;
const LF = 10;
const MINUS = 45;
const ZERO = 48;
const ARRAY = 42;
const BULK = 36;
const INTEGER = 58;
const SIMPLE = 43;
const ERROR = 45;

/** Redis itself allows no larger value. */
const MOST_BYTES = 512 * 1024 * 1024;
const MOST_ITEMS = 0x7fffffff;
const LONGEST_LINE = 64 * 1024;
const MOST_DEPTH = 8;

/**
 * What is written for a command: text as long as no argument is bytes, for that is what a socket sends the soonest.
 *
 * Cost: O(bytes).
 */
export function encodeCommand(args: readonly Argument[]): string | Buffer {
  const pieces: Buffer[] = [];
  let text = `*${args.length}\r\n`;
  for (const arg of args) {
    if (arg instanceof Buffer) {
      pieces.push(Buffer.from(`${text}$${arg.length}\r\n`), arg);
      text = '\r\n';
    } else {
      const written = typeof arg === 'string' ? arg : String(arg);
      text += `$${Buffer.byteLength(written)}\r\n${written}\r\n`;
    }
  }
  if (pieces.length === 0) return text;
  pieces.push(Buffer.from(text));
  return Buffer.concat(pieces);
}

const NOTHING: Reply[] = [];

/** An array whose items are still arriving. */
class OpenArray {
  items: Reply[] = [];
  readonly parent: OpenArray | undefined;
  readonly depth: number;
  missing: number;
  constructor(missing: number, parent: OpenArray | undefined) {
    this.missing = missing;
    this.parent = parent;
    this.depth = parent === undefined ? 1 : parent.depth + 1;
  }
}

/**
 * Takes apart what is received, however it is cut.
 *
 * What is kept of a cut reply are its whole items, and the bytes of the one item that is not whole. Cost: O(bytes).
 */
export class ReplyDecoder {
  readonly #onReply: (reply: Reply) => void;
  /** Used again and again: a reply is rarely more than one array. */
  readonly #outermost = new OpenArray(0, undefined);
  #open: OpenArray | undefined;
  #pieces: Buffer[] = [];
  #held = 0;
  /** How many bytes the item that is not whole has at least. */
  #needed = 0;

  constructor(onReply: (reply: Reply) => void) {
    this.#onReply = onReply;
  }

  /** @throws ProtocolError when the bytes are not RESP2; the decoder can't be used any more. */
  write(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#held > 0) {
      this.#pieces.push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#needed) return;
      bytes = Buffer.concat(this.#pieces, this.#held);
      this.#pieces = [];
      this.#held = 0;
    }
    let at = 0;
    while (at < bytes.length) {
      const end = this.#decode(bytes, at);
      if (end === 0) {
        this.#pieces = [at === 0 ? bytes : bytes.subarray(at)];
        this.#held = bytes.length - at;
        return;
      }
      at = end;
    }
  }

  /** Decodes the item at `start` and gives where the next one begins; 0 when the item is not whole. */
  #decode(bytes: Buffer, start: number): number {
    const type = bytes[start];
    if (type === SIMPLE || type === ERROR) return this.#decodeLine(bytes, start, type);
    if (type !== BULK && type !== ARRAY && type !== INTEGER) {
      throw new ProtocolError(`unknown type of reply ${type}`);
    }
    let at = start + 1;
    const isNegative = bytes[at] === MINUS;
    if (isNegative) at++;
    let count = 0;
    let code = bytes[at];
    const firstDigit = at;
    while (code !== CR) {
      if (code === undefined) return this.#wait(bytes.length - start + 1);
      if (code < ZERO || code > ZERO + 9 || at - firstDigit > 18) throw new ProtocolError('not a number');
      count = count * 10 + (code - ZERO);
      code = bytes[++at];
    }
    if (at === firstDigit) throw new ProtocolError('not a number');
    const next = at + 2;
    if (next > bytes.length) return this.#wait(next - start);
    if (bytes[at + 1] !== LF) throw new ProtocolError('a line without its end');
    if (type === INTEGER) {
      this.#take(isNegative ? -count : count);
      return next;
    }
    if (isNegative) {
      if (count !== 1) throw new ProtocolError('a negative length');
      this.#take(null);
      return next;
    }
    if (type === ARRAY) {
      this.#openArray(count);
      return next;
    }
    if (count > MOST_BYTES) throw new ProtocolError(`a value of ${count} bytes`);
    const end = next + count;
    if (end + 2 > bytes.length) return this.#wait(end + 2 - start);
    if (bytes[end] !== CR || bytes[end + 1] !== LF) throw new ProtocolError('a value without its end');
    this.#take(bytes.subarray(next, end));
    return end + 2;
  }

  #decodeLine(bytes: Buffer, start: number, type: number): number {
    const end = bytes.indexOf(CR, start);
    if ((end < 0 ? bytes.length : end) - start > LONGEST_LINE) throw new ProtocolError('a line without end');
    if (end < 0) return this.#wait(bytes.length - start + 1);
    if (end + 2 > bytes.length) return this.#wait(end + 2 - start);
    if (bytes[end + 1] !== LF) throw new ProtocolError('a line without its end');
    const text = bytes.subarray(start + 1, end);
    this.#take(type === SIMPLE ? text : new ReplyError(text.toString()));
    return end + 2;
  }

  #wait(needed: number): 0 {
    this.#needed = needed;
    return 0;
  }

  #openArray(count: number): void {
    if (count > MOST_ITEMS) throw new ProtocolError(`an array of ${count} items`);
    if (count === 0) {
      this.#take([]);
      return;
    }
    if (this.#open === undefined) {
      this.#open = this.#outermost;
      this.#open.items = [];
      this.#open.missing = count;
      return;
    }
    this.#open = new OpenArray(count, this.#open);
    if (this.#open.depth > MOST_DEPTH) throw new ProtocolError('arrays within arrays without end');
  }

  #take(reply: Reply): void {
    let whole = reply;
    for (let open = this.#open; open !== undefined; open = this.#open) {
      open.items.push(whole);
      if (--open.missing > 0) return;
      whole = open.items;
      open.items = NOTHING;
      this.#open = open.parent;
    }
    this.#onReply(whole);
  }
}
