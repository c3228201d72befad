import ipaddr from 'ipaddr.js';
import { AppError } from '../../kernel/errors.ts';
import type { NetworkRules } from './drivers/driver.ts';

/**
 * What a machine may reach, and what becomes of its requests on the way. Names only hold for web traffic, which says
 * whom it is for; everything else is ruled by addresses.
 */
export type EgressRules = Pick<NetworkRules, 'allow' | 'deny'> & {
  /** Hosts that are allowed whatever is denied: `example.com`, or `*.example.com` for all below it. */
  names?: readonly string[] | undefined;
  /** Headers that requests to a host are given. Values are secrets. */
  transforms?: readonly Transform[] | undefined;
  /** Every TCP connection goes through this SOCKS5 proxy. */
  proxy?: EgressProxy | undefined;
};
export type Transform = { host: string; headers: Readonly<Record<string, string>> };
export type EgressProxy = { host: string; port: number; username?: string | undefined; password?: string | undefined };

const MAX_RULES = 1_000;
const MAX_SECRET_BYTES = 65_536;

/** Throws `invalid` for what are no rules. */
export function checkRules({ allow, deny, names = [], transforms = [] }: EgressRules): void {
  if (allow.length + deny.length + names.length + transforms.length > MAX_RULES)
    throw new AppError('invalid', `There can be ${MAX_RULES} network rules.`);
  const strange = [...allow, ...deny].find((rule) => !isRange(rule));
  if (strange !== undefined) throw new AppError('invalid', 'Network rules are IPv4 addresses and ranges.');
  if (![...names, ...transforms.map(({ host }) => host)].every(isNamePattern))
    throw new AppError('invalid', 'Hosts are names like example.com or *.example.com.');
  if (JSON.stringify(transforms).length > MAX_SECRET_BYTES)
    throw new AppError('invalid', `Headers of network rules have at most ${MAX_SECRET_BYTES} bytes together.`);
}

const isRange = (rule: string): boolean =>
  ipaddr.IPv4.isValidFourPartDecimal(rule) ||
  (/^[\d.]+\/(0|[1-9]\d?)$/.test(rule) && ipaddr.IPv4.isValidCIDRFourPartDecimal(rule));

const NAME_PATTERN = /^(?=.{1,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** A host name in lower case, or `*.` and one. */
export const isNamePattern = (text: string): boolean => NAME_PATTERN.test(text);

/** What the driver has to do with the machine's connections. */
export const driverRulesOf = ({ allow, deny, names = [], transforms = [], proxy }: EgressRules): NetworkRules => ({
  allow,
  deny,
  ...((names.length > 0 || transforms.length > 0) && { gate: 'web' }),
  ...(proxy && { gate: 'tcp' }),
  ...(names.length > 0 && { resolves: true }),
});

export const isUnruled = ({ allow, deny, names = [], transforms = [], proxy }: EgressRules): boolean =>
  allow.length + deny.length + names.length + transforms.length === 0 && proxy === undefined;

/** Whether the rules for addresses let a machine go there: what is allowed beats what is denied. */
export const permitsAddress = ({ allow, deny }: EgressRules, address: string): boolean =>
  allow.some((range) => isIn(range, address)) || !deny.some((range) => isIn(range, address));

function isIn(range: string, address: string): boolean {
  const [base = '', prefix = '32'] = range.split('/');
  return ipaddr.IPv4.parse(address).match(ipaddr.IPv4.parse(base), Number(prefix));
}

export const permitsName = ({ names = [] }: EgressRules, name: string): boolean =>
  names.some((pattern) => covers(pattern, name));

/** A wildcard is for names at any depth below it, and not for its own. */
const covers = (pattern: string, name: string): boolean =>
  pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) && name.length >= pattern.length : pattern === name;

/** Of several that cover a name, the exact one counts, and then the longest wildcard. */
export const transformFor = ({ transforms = [] }: EgressRules, name: string): Transform | undefined =>
  transforms.filter(({ host }) => covers(host, name)).toSorted((one, other) => rank(other.host) - rank(one.host))[0];

const rank = (pattern: string): number => (pattern.startsWith('*.') ? pattern.length : Number.MAX_SAFE_INTEGER);

/** The same without what nobody but the gateway is to know. */
export const shownRules = ({ allow, deny, names = [], transforms = [], proxy }: EgressRules) => ({
  allow,
  deny,
  ...(names.length > 0 && { names }),
  ...(transforms.length > 0 && { transformed: transforms.map(({ host }) => host) }),
  ...(proxy && { proxy: `${proxy.host}:${proxy.port}` }),
});
