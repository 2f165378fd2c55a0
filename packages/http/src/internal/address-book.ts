import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import type { Clock, Milliseconds } from '@hotpath/core';

/** One address of a host. */
export interface HostAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Finds a host's addresses, and calls back once; as `dns.lookup` with `all: true`. */
export type ResolveHost = (
  hostname: string,
  callback: (error: Error | null, addresses: readonly HostAddress[]) => void,
) => void;

export const resolveWithSystem: ResolveHost = (hostname, callback) => {
  systemLookup(hostname, { all: true, verbatim: true }, (error, addresses) => {
    callback(error, error === null ? (addresses as HostAddress[]) : []);
  });
};

/** After so long a look-up is begun anew. */
const PATIENCE_MS = 5_000;

interface Entry {
  addresses: readonly HostAddress[];
  expiresMs: Milliseconds;
  /** Where the next connection begins in `addresses`. */
  turn: number;
  /** When the last look-up began. */
  askedMs: Milliseconds;
  /** Who waits while the host is being looked up. */
  pending: ((error: Error | null, addresses: readonly HostAddress[]) => void)[] | undefined;
}

export interface AddressBookOptions {
  readonly ttlMs: Milliseconds;
  readonly maxHosts: number;
  readonly resolve: ResolveHost;
  readonly clock: Clock;
}

/**
 * Addresses of hosts, kept for a while, looked up once however many ask, and handed out in turn.
 *
 * Failures are not kept. Each answer begins with another of the host's addresses, so that
 * connections spread over them; the rest follow, for a connection attempt to fall back on.
 */
export class AddressBook {
  readonly #options: AddressBookOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: AddressBookOptions) {
    this.#options = options;
  }

  resolve(
    hostname: string,
    callback: (error: Error | null, addresses: readonly HostAddress[]) => void,
  ): void {
    const entry = this.#entry(hostname);
    const nowMs = this.#options.clock.now();
    // A look-up without an answer must not stand in the way for ever; who waits for it has a deadline.
    if (entry.pending !== undefined && nowMs - entry.askedMs < PATIENCE_MS) {
      entry.pending.push(callback);
      return;
    }
    if (entry.addresses.length > 0 && nowMs < entry.expiresMs) {
      callback(null, inTurn(entry));
      return;
    }
    const pending = [callback];
    entry.pending = pending;
    entry.askedMs = nowMs;
    let answered = false;
    const answer = (failure: Error | null | undefined, addresses: readonly HostAddress[]): void => {
      if (answered) return;
      answered = true;
      if (entry.pending === pending) entry.pending = undefined;
      const error = failure ?? (areAddresses(addresses) ? null : new Error(`no address for ${hostname}`));
      if (error === null) {
        entry.addresses = addresses;
        entry.expiresMs = this.#options.clock.now() + this.#options.ttlMs;
      }
      for (const waiter of pending) waiter(error, error === null ? inTurn(entry) : []);
    };
    try {
      this.#options.resolve(hostname, answer);
    } catch (error) {
      answer(error as Error, []);
    }
  }

  /** In the form of `net.connect`'s option `lookup`; `vet` may refuse the addresses by throwing. */
  lookup(vet: (addresses: readonly HostAddress[], hostname: string) => void): LookupFunction {
    return (hostname, options, callback) => {
      this.resolve(hostname, (error, addresses) => {
        let usable = addresses;
        try {
          if (error === null) {
            vet(addresses, hostname);
            if (options.family === 4 || options.family === 6) {
              usable = addresses.filter((address) => address.family === options.family);
            }
            if (usable.length === 0) throw new Error(`no address for ${hostname}`);
          }
        } catch (refusal) {
          error = refusal as Error;
        }
        if (error !== null) callback(error, '', 0);
        else if (options.all) callback(null, [...usable]);
        else callback(null, usable[0]!.address, usable[0]!.family);
      });
    };
  }

  #entry(hostname: string): Entry {
    let entry = this.#entries.get(hostname);
    if (entry === undefined) {
      for (const [oldest, { pending }] of this.#entries) {
        if (this.#entries.size < this.#options.maxHosts) break;
        if (pending === undefined) this.#entries.delete(oldest);
      }
      entry = { addresses: [], expiresMs: 0, turn: 0, askedMs: 0, pending: undefined };
      this.#entries.set(hostname, entry);
    }
    return entry;
  }
}

// What resolves may be the caller's own.
function areAddresses(given: unknown): boolean {
  return Array.isArray(given) && given.length > 0 && given.every((one) => isIP(one?.address) !== 0);
}

function inTurn(entry: Entry): readonly HostAddress[] {
  const { addresses } = entry;
  if (addresses.length === 1) return addresses;
  const first = entry.turn++ % addresses.length;
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}
