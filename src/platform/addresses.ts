import ipaddr from 'ipaddr.js';

/** Where a network address leads: the internet, this host, or somewhere no customer may send us. */
export type Reach = 'public' | 'loopback' | 'private';

/** All of IPv6 that is given out to the internet; everything else is local, special or unassigned. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3');
/** How an IPv6-only host reaches IPv4 (RFC 6052); the last 32 bits are the IPv4 address. */
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96');
/** Interface identifiers of ISATAP tunnels (RFC 5214), which end in an IPv4 address as well. */
const ISATAP = [0x0000_5efe, 0x0200_5efe];

/**
 * Where `address` leads. Public is only what is known to be: private, link-local, shared (CGNAT), multicast, reserved
 * and unspecified addresses are not, nor is an IPv6 address that carries an IPv4 address past the check.
 */
export function reachOf(address: string): Reach {
  if (!ipaddr.isValid(address)) return 'private';
  const parsed = ipaddr.parse(address);
  if (parsed.range() === 'loopback') return 'loopback';
  if (parsed instanceof ipaddr.IPv4) return parsed.range() === 'unicast' ? 'public' : 'private';
  return reachOfIPv6(parsed);
}

function reachOfIPv6(address: ipaddr.IPv6): Reach {
  if (address.match(NAT64)) return reachOf(lastIPv4(address)) === 'public' ? 'public' : 'private';
  if (!address.match(GLOBAL_UNICAST) || address.range() !== 'unicast') return 'private';
  const [high = 0, low = 0] = address.parts.slice(4, 6);
  const tunnelled = ISATAP.includes(high * 0x1_0000 + low);
  return tunnelled && reachOf(lastIPv4(address)) !== 'public' ? 'private' : 'public';
}

const lastIPv4 = (address: ipaddr.IPv6): string => ipaddr.fromByteArray(address.toByteArray().slice(12)).toString();
