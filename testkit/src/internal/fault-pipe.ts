import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';

/** What happens to the bytes of one direction; absent means that they pass unharmed. */
export interface DirectionFaults {
  delayMs?: number;
  blackHole?: boolean;
  resetAfterBytes?: number;
  endAfterBytes?: number;
  garbage?: boolean;
  drip?: { readonly bytes: number; readonly intervalMs: number };
}

/** How much is held before the sender is made to wait, as a full socket buffer would. */
const MAX_HELD_BYTES = 1_048_576;

const RESET_PAUSE_MS = 5;

type Held = { readonly dueMs: number; readonly bytes: Buffer | 'end' };

/** One direction of one connection: moves bytes from a source to a sink under the faults in force. */
export class FaultPipe {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #reset: () => void;
  #faults: DirectionFaults = {};
  /** Counted since the faults were set. */
  #passedBytes = 0;
  #held: Held[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #nextDripMs = 0;
  #ended = false;

  constructor(source: Socket, sink: Socket, reset: () => void) {
    this.#source = source;
    this.#sink = sink;
    this.#reset = reset;
    source.on('data', (bytes: Buffer) => this.#hold(bytes));
    source.on('end', () => this.#hold('end'));
    sink.on('drain', () => this.#pump());
  }

  setFaults(faults: DirectionFaults): void {
    this.#faults = faults;
    this.#passedBytes = 0;
    this.#pump();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#held = [];
  }

  #hold(bytes: Buffer | 'end'): void {
    this.#held.push({ dueMs: performance.now() + (this.#faults.delayMs ?? 0), bytes });
    if (bytes !== 'end') this.#heldBytes += bytes.length;
    if (this.#heldBytes > MAX_HELD_BYTES) this.#source.pause();
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const [next] = this.#held;
      if (next === undefined || this.#faults.blackHole === true || this.#sink.writableNeedDrain) break;
      const nowMs = performance.now();
      const dueMs = Math.max(next.dueMs, this.#faults.drip === undefined ? 0 : this.#nextDripMs);
      // A timer may fire a fraction of a millisecond early.
      if (dueMs - nowMs > 0.5) {
        this.#timer = setTimeout(() => this.#pump(), dueMs - nowMs);
        break;
      }
      if (next.bytes === 'end') {
        this.#held.shift();
        this.#end();
      } else {
        this.#forward(next as Held & { bytes: Buffer }, nowMs);
      }
    }
    if (this.#heldBytes <= MAX_HELD_BYTES && this.#source.isPaused()) this.#source.resume();
  }

  #forward({ bytes, dueMs }: { readonly bytes: Buffer; readonly dueMs: number }, nowMs: number): void {
    const { drip, garbage, resetAfterBytes, endAfterBytes } = this.#faults;
    const size = Math.min(bytes.length, drip?.bytes ?? bytes.length);
    if (size < bytes.length) this.#held[0] = { dueMs, bytes: bytes.subarray(size) };
    else this.#held.shift();
    this.#heldBytes -= size;
    if (drip !== undefined) this.#nextDripMs = nowMs + drip.intervalMs;

    const limit = resetAfterBytes ?? endAfterBytes ?? Number.POSITIVE_INFINITY;
    const passing = bytes.subarray(0, Math.max(0, Math.min(size, limit - this.#passedBytes)));
    this.#passedBytes += size;
    const isLimitReached = this.#passedBytes >= limit;
    const isReset = isLimitReached && resetAfterBytes !== undefined;
    if (!this.#ended && (passing.length > 0 || isReset)) {
      const onWritten = isReset ? () => this.#resetSoon() : undefined;
      this.#sink.write(garbage === true ? randomBytes(passing.length) : passing, onWritten);
    }
    if (isReset) this.#ended = true;
    else if (isLimitReached) this.#end();
  }

  /**
   * What was written has to leave before the reset, which would discard it, and to be read before it:
   * Node 22 takes a reset that comes with data for an end. The immediate lets a reader of this
   * process have its turn, the pause one of another.
   */
  #resetSoon(): void {
    setTimeout(() => setImmediate(this.#reset), RESET_PAUSE_MS);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#sink.end();
  }
}
