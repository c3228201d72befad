import ipaddr from 'ipaddr.js';
import { AppError } from '../../kernel/errors.ts';
import { isNamePattern, type EgressRules, type Machines } from '../machines/index.ts';
import type { Network, Outward } from './sandbox.ts';

const MAX_RULES = 100;
const EVERYWHERE = '0.0.0.0/0';
const MAX_PREFIX = { ipv4: 32, ipv6: 128 };
const MAX_HOST_LENGTH = 255;
/** What one field of SOCKS5 can hold. */
const MAX_PROXY_BYTES = 255;
const MAX_PORT = 65_535;
const MAX_HEADERS = 64;
const MAX_HEADER_BYTES = 16_384;
const MAX_HTTPS_PORTS = 100;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** They say where a request goes or where it ends: whoever changed them could have it go elsewhere. */
const FRAMING = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'expect',
]);
const IDENTITY_TOKEN = '${e2b.identity.';

export const OPEN_NETWORK: Network = {
  allowOut: [],
  denyOut: [],
  internet: undefined,
  headers: {},
  egressProxy: undefined,
  httpsPorts: [],
  publicTraffic: true,
  maskRequestHost: undefined,
};

/** With names as they are compared. */
export const tidied = <Of extends Outward>(network: Of): Of => ({
  ...network,
  allowOut: network.allowOut.map((rule) => rule.toLowerCase()),
  headers: Object.fromEntries(Object.entries(network.headers).map(([host, headers]) => [host.toLowerCase(), headers])),
});

/** Throws `invalid` for what cannot be a sandbox's network. */
export function checkNetwork(network: Outward & Partial<Network>): void {
  checkLists(network);
  checkHeaders(network.headers);
  checkProxyShape(network.egressProxy);
  const { maskRequestHost, httpsPorts = [] } = network;
  if (maskRequestHost !== undefined && !/^[\w.:${}-]+$/.test(maskRequestHost.slice(0, MAX_HOST_LENGTH + 1)))
    throw new AppError('invalid', 'maskRequestHost must be a host name');
  if ((maskRequestHost?.length ?? 0) > MAX_HOST_LENGTH)
    throw new AppError('invalid', 'maskRequestHost must be a host name');
  if (httpsPorts.length > MAX_HTTPS_PORTS || !httpsPorts.every(isPort))
    throw new AppError('invalid', `httpsPorts must be at most ${MAX_HTTPS_PORTS} ports`);
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= MAX_PORT;

function checkLists({ allowOut, denyOut, internet }: Outward): void {
  if (allowOut.length > MAX_RULES || denyOut.length > MAX_RULES)
    throw new AppError('invalid', `network lists must have at most ${MAX_RULES} entries`);
  if (denyOut.some((rule) => !familyOf(rule)))
    throw new AppError('invalid', 'denyOut must hold IP addresses and networks, as in 10.0.0.0/8');
  if (allowOut.some((rule) => !familyOf(rule) && !isNamePattern(rule)))
    throw new AppError('invalid', 'allowOut must hold IP addresses, networks (10.0.0.0/8), and hosts (*.example.com)');
  const hasNames = allowOut.some((rule) => !familyOf(rule));
  if (hasNames && internet !== false && !denyOut.includes(EVERYWHERE))
    throw new AppError('invalid', `allowOut with domains needs ${EVERYWHERE} in denyOut, to block all other traffic`);
}

function checkHeaders(headers: Network['headers']): void {
  if (Object.keys(headers).length > MAX_RULES)
    throw new AppError('invalid', `rules must have at most ${MAX_RULES} hosts`);
  for (const [host, values] of Object.entries(headers)) {
    if (!isNamePattern(host))
      throw new AppError('invalid', 'rules must be for hosts like example.com or *.example.com');
    const entries = Object.entries(values);
    if (entries.length > MAX_HEADERS) throw new AppError('invalid', `a rule must have at most ${MAX_HEADERS} headers`);
    for (const [name, value] of entries) checkHeader(name, value);
  }
}

function checkHeader(name: string, value: string): void {
  if (!HEADER_NAME.test(name) || value.length > MAX_HEADER_BYTES || !HEADER_VALUE.test(value))
    throw new AppError('invalid', 'rules must have headers that HTTP can carry');
  if (FRAMING.has(name.toLowerCase())) throw new AppError('invalid', `rules must not set ${name.toLowerCase()}`);
  if (value.includes(IDENTITY_TOKEN)) throw new AppError('invalid', 'iam tokens are not supported by this server');
}

function checkProxyShape(proxy: Network['egressProxy']): void {
  if (!proxy) return;
  const { host, port, username, password } = proxy;
  if (!isPort(port) || !(isNamePattern(host.toLowerCase()) || ipaddr.IPv4.isValidFourPartDecimal(host)))
    throw new AppError('invalid', 'egressProxy.address must be host:port');
  if (host.startsWith('*')) throw new AppError('invalid', 'egressProxy.address must be host:port');
  if (password !== undefined && username === undefined)
    throw new AppError('invalid', 'egressProxy.password needs a username');
  const sizes = [username, password].flatMap((text) => (text === undefined ? [] : [Buffer.byteLength(text)]));
  if (sizes.some((bytes) => bytes < 1 || bytes > MAX_PROXY_BYTES))
    throw new AppError('invalid', `egressProxy credentials must have from 1 to ${MAX_PROXY_BYTES} bytes`);
}

/** Throws `invalid` for a proxy that no machine may be led to. Where it leads is checked again at each connection. */
export async function checkProxy(
  machines: Pick<Machines, 'isProxyReachable'>,
  { egressProxy }: Outward,
): Promise<void> {
  if (egressProxy && !(await machines.isProxyReachable(egressProxy)))
    throw new AppError('invalid', 'egressProxy.address must lead to a public address');
}

/** What its machine may reach; undefined where nothing is ruled. Machines have no IPv6, so its rules say nothing. */
export function rulesOf({ allowOut, denyOut, internet, headers, egressProxy }: Outward): EgressRules | undefined {
  const allowed = allowOut.filter((rule) => familyOf(rule) === 'ipv4');
  const names = allowOut.filter((rule) => !familyOf(rule));
  const deny = internet === false ? [EVERYWHERE] : denyOut.filter((rule) => familyOf(rule) === 'ipv4');
  const transforms = Object.entries(headers).map(([host, values]) => ({ host, headers: values }));
  if (deny.length === 0 && transforms.length === 0 && !egressProxy) return undefined;
  return {
    // What is allowed is an exception to what is denied: alone it forbids nothing.
    allow: deny.length === 0 ? [] : allowed,
    deny,
    ...(names.length > 0 && { names }),
    ...(transforms.length > 0 && { transforms }),
    ...(egressProxy && { proxy: egressProxy }),
  };
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
