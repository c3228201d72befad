import ipaddr from 'ipaddr.js';
import { AppError } from '../../kernel/errors.ts';
import type { NetworkRules } from '../machines/index.ts';
import type { Network } from './sandbox.ts';

const MAX_RULES = 100;
const EVERYWHERE = '0.0.0.0/0';
const MAX_PREFIX = { ipv4: 32, ipv6: 128 };
const MAX_HOST_LENGTH = 255;

export const OPEN_NETWORK: Network = {
  allowOut: [],
  denyOut: [],
  internet: undefined,
  publicTraffic: true,
  maskRequestHost: undefined,
};

type Outward = Pick<Network, 'allowOut' | 'denyOut' | 'internet'>;

/** Throws `invalid` for what is no address and no network. */
export function checkNetwork({ allowOut, denyOut, maskRequestHost }: Outward & Partial<Network>): void {
  if (allowOut.length > MAX_RULES || denyOut.length > MAX_RULES)
    throw new AppError('invalid', `network lists must have at most ${MAX_RULES} entries`);
  for (const rule of [...allowOut, ...denyOut])
    if (!familyOf(rule))
      throw new AppError('invalid', 'network lists must hold IP addresses and networks, as in 10.0.0.0/8');
  if (maskRequestHost !== undefined && !/^[\w.:${}-]+$/.test(maskRequestHost.slice(0, MAX_HOST_LENGTH + 1)))
    throw new AppError('invalid', 'maskRequestHost must be a host name');
  if ((maskRequestHost?.length ?? 0) > MAX_HOST_LENGTH)
    throw new AppError('invalid', 'maskRequestHost must be a host name');
}

/** What the driver is told; undefined where nothing is forbidden. Machines have no IPv6, so its rules say nothing. */
export function rulesOf({ allowOut, denyOut, internet }: Outward): NetworkRules | undefined {
  const allow = allowOut.filter((rule) => familyOf(rule) === 'ipv4');
  const deny = internet === false ? [EVERYWHERE] : denyOut.filter((rule) => familyOf(rule) === 'ipv4');
  // What is allowed is an exception to what is denied: alone it forbids nothing.
  return deny.length === 0 ? undefined : { allow, deny };
}

function familyOf(rule: string): 'ipv4' | 'ipv6' | undefined {
  const [address = '', prefix, ...rest] = rule.split('/');
  const family = ipaddr.IPv4.isValidFourPartDecimal(address)
    ? 'ipv4'
    : address.includes(':') && !address.includes('%') && ipaddr.IPv6.isValid(address)
      ? 'ipv6'
      : undefined;
  if (!family || rest.length > 0) return undefined;
  if (prefix === undefined) return family;
  return /^(0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= MAX_PREFIX[family] ? family : undefined;
}
