import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

export type ClientAddress = { address: string; protocol: 'http' | 'https' };

/** Names that stand for ranges, as in the routes' own reading of the setting. */
const NAMED: Record<string, readonly string[]> = {
  loopback: ['loopback'],
  linklocal: ['linkLocal'],
  uniquelocal: ['private', 'uniqueLocal'],
};

/** Reads whose request it is: the last address that no trusted proxy has, in the words of those that are trusted. */
export function clientReader(trusted: readonly string[] = []): (request: IncomingMessage) => ClientAddress {
  const isTrusted = (address: string): boolean => trusted.some((range) => contains(range, address));
  return ({ headers, socket }) => {
    const peer = plain(socket.remoteAddress ?? '');
    if (!isTrusted(peer)) return { address: peer, protocol: 'http' };
    const forwarded = listed(headers['x-forwarded-for']).filter((address) => ipaddr.isValid(address));
    const way = [...forwarded.map(plain), peer];
    const [protocol] = listed(headers['x-forwarded-proto']).slice(-1);
    return {
      address: way.findLast((address) => !isTrusted(address)) ?? way[0] ?? peer,
      protocol: protocol === 'https' ? 'https' : 'http',
    };
  };
}

const listed = (value: string | string[] | undefined): string[] =>
  (value ?? '')
    .toString()
    .split(',')
    .map((item) => item.trim());

/** IPv4 as IPv4, also where it came in a socket of IPv6. */
const plain = (address: string): string => (ipaddr.isValid(address) ? ipaddr.process(address).toString() : address);

function contains(range: string, address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const names = NAMED[range];
  if (names) return names.includes(parsed.range());
  if (ipaddr.isValid(range)) return ipaddr.process(range).toString() === parsed.toString();
  if (!ipaddr.isValidCIDR(range)) return false;
  const [network, bits] = ipaddr.parseCIDR(range);
  return network.kind() === parsed.kind() && parsed.match(network, bits);
}
