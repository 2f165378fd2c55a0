import { StringDecoder } from 'node:string_decoder';

/** One server-sent event. */
export interface ServerEvent {
  /** Its type; `message` when the server named none. */
  readonly event: string;
  readonly data: string;
  /** The latest id that the server gave; empty when it gave none. */
  readonly id: string;
}

/** An event is larger than it may be. */
export class EventTooLarge extends Error {}

/**
 * Takes a `text/event-stream` apart, whatever the pieces that it arrives in.
 *
 * Source: the HTML standard, 9.2.6 (interpreting an event stream).
 */
export class EventParser {
  readonly #decoder = new StringDecoder('utf8');
  readonly #maxEventBytes: number;
  #buffer = '';
  #searchFrom = 0;
  #atStart = true;
  #event = '';
  #data: string[] = [];
  #dataSize = 0;
  #id: string;
  /** That of the last event that is complete, also of one without data. */
  lastEventId: string;
  /** How long the server asks to wait before connecting anew. */
  retryMs: number | undefined;

  /** `lastEventId`: where an earlier connection ended. */
  constructor(maxEventBytes: number, lastEventId: string = '') {
    this.#maxEventBytes = maxEventBytes;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
  }

  /** The events that are complete with this piece. @throws EventTooLarge */
  push(chunk: Buffer): ServerEvent[] {
    let buffer = this.#buffer + this.#decoder.write(chunk);
    if (this.#atStart && buffer.length > 0) {
      this.#atStart = false;
      if (buffer.charCodeAt(0) === 0xfeff) buffer = buffer.slice(1);
    }
    const events: ServerEvent[] = [];
    let lineStart = 0;
    let position = this.#searchFrom;
    for (; position < buffer.length; position++) {
      const code = buffer.charCodeAt(position);
      if (code !== 10 && code !== 13) continue;
      // A CR at the very end may be the first half of a CRLF.
      if (code === 13 && position + 1 === buffer.length) break;
      this.#line(buffer.slice(lineStart, position), events);
      if (code === 13 && buffer.charCodeAt(position + 1) === 10) position++;
      lineStart = position + 1;
    }
    this.#buffer = buffer.slice(lineStart);
    this.#searchFrom = Math.min(position, buffer.length) - lineStart;
    this.#checkSize(this.#buffer.length);
    return events;
  }

  #checkSize(pendingSize: number): void {
    if (pendingSize + this.#dataSize > this.#maxEventBytes) {
      throw new EventTooLarge(`an event is larger than ${this.#maxEventBytes} bytes`);
    }
  }

  #line(line: string, events: ServerEvent[]): void {
    if (line === '') {
      this.#dispatch(events);
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? '' : line.slice(colon + 1);
    if (value.charCodeAt(0) === 32) value = value.slice(1);
    switch (field) {
      case 'event':
        this.#event = value;
        break;
      case 'data':
        this.#data.push(value);
        this.#dataSize += value.length + 1;
        this.#checkSize(0);
        break;
      case 'id':
        if (!value.includes('\0')) this.#id = value;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) this.retryMs = Number(value);
        break;
    }
  }

  #dispatch(events: ServerEvent[]): void {
    this.lastEventId = this.#id;
    if (this.#data.length > 0) {
      events.push({
        event: this.#event === '' ? 'message' : this.#event,
        data: this.#data.join('\n'),
        id: this.lastEventId,
      });
    }
    this.#event = '';
    this.#data = [];
    this.#dataSize = 0;
  }
}
