import { BlockList, isIP } from 'node:net';
import { optionReader } from '@hotpath/core';
import type { HostAddress } from './internal/address-book.ts';
import { AddressRefused } from './internal/failure.ts';

/** What the guard lets through besides public addresses, and what it refuses besides the others. */
export interface SsrfGuardOptions {
  /** Addresses and networks (`10.1.0.0/16`) that may be connected to although they are not public. Default: none. */
  readonly allow?: readonly string[] | undefined;
  /** Addresses and networks that may not, although they are public. Goes before `allow`. Default: none. */
  readonly deny?: readonly string[] | undefined;
}

// Everything that IANA's special-purpose registries do not call global, multicast, the transition
// networks that carry an IPv4 address inside, and the metadata services of the clouds.
const NOT_PUBLIC = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

function networks(option: string, list: readonly string[]): BlockList {
  const result = new BlockList();
  for (const entry of list) {
    const [address = '', prefix, ...rest] = String(entry).split('/');
    const version = isIP(address);
    const bits = prefix === undefined ? (version === 4 ? 32 : 128) : Number(prefix);
    if (
      version === 0 ||
      rest.length > 0 ||
      !Number.isInteger(bits) ||
      bits < 0 ||
      bits > (version === 4 ? 32 : 128)
    ) {
      throw new TypeError(
        `createHttpClient: option '${option}' holds ${JSON.stringify(entry)}, which is no network`,
      );
    }
    result.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6');
  }
  return result;
}

function isListed(list: BlockList, { address, family }: HostAddress): boolean {
  return list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** Throws when any of the addresses must not be connected to. */
export type Vet = (addresses: readonly HostAddress[], hostname: string) => void;

/**
 * Makes the guard that keeps a client whose URLs come from outside away from the inside.
 *
 * It sees addresses, not names: literals, everything that a name resolves to, and in the end the
 * peer of the connected socket, so neither another spelling of an address nor a name that resolves
 * differently the second time gets past. A name with one address that is refused is refused.
 *
 * @throws TypeError when an option is wrong.
 */
export function ssrfVet(options: SsrfGuardOptions): Vet {
  const read = optionReader("createHttpClient: option 'ssrfGuard'", options);
  const allowed = networks('ssrfGuard.allow', read.object<readonly string[]>('allow', []));
  const denied = networks('ssrfGuard.deny', read.object<readonly string[]>('deny', []));
  read.end();
  const notPublic = networks('ssrfGuard', NOT_PUBLIC);
  return (addresses, hostname) => {
    for (const address of addresses) {
      if (isListed(denied, address) || (isListed(notPublic, address) && !isListed(allowed, address))) {
        const what = hostname === address.address ? 'the address' : 'an address of the host';
        throw new AddressRefused(`${what} is not public: ${address.address}`);
      }
    }
  };
}
