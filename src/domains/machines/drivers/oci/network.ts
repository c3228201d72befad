import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import ipaddr from 'ipaddr.js';
import { CommandFailed, type Command } from '../../../../platform/run.ts';
import { linkCommand } from './commands.ts';
import type { Host } from './host.ts';

/**
 * Addresses of machines: the range set aside for measuring networks (RFC 2544), which is neither public nor anyone's
 * private network. Two addresses a machine: its own, and the host's end of its link.
 */
export const MACHINE_NET = '198.18.0.0/15';
const MACHINE_NET_FIRST = 0xc612_0000;
const LINKS = 65_536;
const LINK_PREFIX = 'fh';
/** Names that are tried before the host counts as full. */
const MAX_ATTEMPTS = 1_000;
const DEFAULT_MTU = 1_500;
const PUBLIC_RESOLVERS = ['1.1.1.1', '9.9.9.9'];
const MAX_RESOLVERS = 3;

/** One machine's link: its name on the host, and both addresses. */
export type Link = { name: string; hostAddress: string; machineAddress: string };

export function linkAt(index: number): Link {
  const first = MACHINE_NET_FIRST + index * 2;
  return {
    name: LINK_PREFIX + index.toString(16).padStart(4, '0'),
    hostAddress: ipv4(first),
    machineAddress: ipv4(first + 1),
  };
}

const ipv4 = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.');

/** The link of the machine that has this address; undefined where it is no machine's. */
export function linkOf(machineAddress: string): Link | undefined {
  const value = machineAddress.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const index = (value - MACHINE_NET_FIRST - 1) / 2;
  return Number.isInteger(index) && index >= 0 && index < LINKS ? linkAt(index) : undefined;
}

/** The interface group that all links of an instance bear: 31 bits, never 0, which is everybody else's group. */
export const groupOf = (instance: string): number => (hash(`group ${instance}`) & 0x7fff_ffff) | 1;

const hash = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0);

export type AttachOptions = {
  host: Pick<Host, 'instance' | 'initProgram' | 'spawner'>;
  id: string;
  pid: number;
  signal: AbortSignal;
  /** Links for which there are still rules, of a machine that has died: they are not another's yet. */
  ruled?: ReadonlySet<string>;
};

/**
 * Gives the machine whose first process is `pid` a link to the host, and then runs `next`, which starts it. The kernel
 * allocates: a link's name says its addresses, and of two processes that want one name exactly one gets it, so no lock
 * is needed between them.
 */
export async function attach({ host, id, pid, signal, ruled }: AttachOptions, next: Command): Promise<Link> {
  const mtu = await uplinkMtu();
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const link = linkAt((hash(id) + attempt) % LINKS);
    if (ruled?.has(link.name)) continue;
    const onHost = hostSide(link, { group: groupOf(host.instance), pid, mtu, alias: id });
    try {
      await host.spawner.must(linkCommand(host.initProgram, pid, onHost, machineSide(link), next), { signal });
      return link;
    } catch (error) {
      if (!(error instanceof CommandFailed) || !error.result.stderr.includes('File exists')) throw error;
    }
  }
  throw new Error('No free address is left for a machine.');
}

/** The host's end. Without an IPv6 address, so that there is nothing to reach by it. */
export const hostSide = (link: Link, options: { group: number; pid: number; mtu: number; alias: string }): string =>
  [
    `link add name ${link.name} mtu ${options.mtu} group ${options.group} type veth peer name eth0 mtu ${options.mtu} netns ${options.pid}`,
    `link set dev ${link.name} alias ${options.alias} addrgenmode none`,
    `address add ${link.hostAddress}/31 dev ${link.name}`,
    `link set dev ${link.name} up`,
    '',
  ].join('\n');

export const machineSide = (link: Link): string =>
  [
    'link set dev lo up',
    `address add ${link.machineAddress}/31 dev eth0`,
    'link set dev eth0 up',
    `route add default via ${link.hostAddress}`,
    '',
  ].join('\n');

/** Bytes that a machine has received and sent; the host's end sees them the other way round. */
export async function trafficOf(link: string): Promise<{ received: number; sent: number }> {
  const read = async (counter: string) =>
    Number((await readFile(`/sys/class/net/${link}/statistics/${counter}`, 'utf8').catch(() => '0')).trim());
  const [received, sent] = await Promise.all([read('tx_bytes'), read('rx_bytes')]);
  return { received, sent };
}

/** A machine must not send packets that the host's own way out cannot carry. */
async function uplinkMtu(): Promise<number> {
  const routes = (await readFile('/proc/net/route', 'utf8')).split('\n').map((line) => line.split('\t'));
  const device = routes.find(([, destination]) => destination === '00000000')?.[0];
  if (device === undefined) return DEFAULT_MTU;
  return Number(await readFile(`/sys/class/net/${device}/mtu`, 'utf8'));
}

/** Name servers for machines: the host's own where a machine can reach them, else public ones. */
export function resolversFrom(resolvConf: string): string[] {
  const named = [...resolvConf.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, address]) =>
    address === undefined ? [] : [address],
  );
  const reachable = named.filter(
    (address) => ipaddr.IPv4.isValid(address) && ipaddr.parse(address).range() === 'unicast',
  );
  return (reachable.length > 0 ? reachable : PUBLIC_RESOLVERS).slice(0, MAX_RESOLVERS);
}

/** Settings of a machine's network namespace. */
export async function networkSettings(): Promise<Record<string, string>> {
  const hasIpv6 =
    (await readFile('/proc/sys/net/ipv6/conf/all/disable_ipv6', 'utf8').catch(() => undefined)) !== undefined;
  return {
    // Servers on their usual ports without root.
    'net.ipv4.ip_unprivileged_port_start': '0',
    ...(hasIpv6 ? { 'net.ipv6.conf.all.disable_ipv6': '1', 'net.ipv6.conf.default.disable_ipv6': '1' } : {}),
  };
}
