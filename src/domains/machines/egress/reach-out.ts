import type { Duplex } from 'node:stream';
import { connectOut, isOutside, lookupBy, secured } from '../../../platform/egress/outward.ts';
import { throughSocks } from '../../../platform/egress/socks.ts';
import { permitsAddress, permitsName, type EgressProxy, type EgressRules } from '../rules.ts';
import type { MachinesWorld } from '../world.ts';

type World = Pick<MachinesWorld, 'nameServers'>;

/** Connects to an address that a machine named itself, and that its rules permit. */
export async function reachAddress(world: World, rules: EgressRules, address: string, port: number): Promise<Duplex> {
  if (!isOutside(address)) throw new Error('The address is not on the internet');
  return rules.proxy ? viaProxy(world, rules.proxy, address, port) : connectOut([address], port);
}

/**
 * Connects to a host by its name, which is resolved here: what the machine took for its address says nothing. A host
 * that is not allowed by its name has to have an address that is.
 */
export async function reachHost(
  world: World,
  rules: EgressRules,
  name: string,
  port: number,
  security?: 'tls',
): Promise<Duplex> {
  const stream = await connectHost(world, rules, name, port);
  return security ? secured(stream, { name, verified: true }) : stream;
}

async function connectHost(world: World, rules: EgressRules, name: string, port: number): Promise<Duplex> {
  const isNamed = permitsName(rules, name);
  // The proxy is its owner's own, and stands outside: there it is the one that resolves.
  if (rules.proxy && isNamed) return viaProxy(world, rules.proxy, name, port);
  const found = await lookupBy(world.nameServers ?? [])(name);
  const addresses = found.filter((address) => isOutside(address) && (isNamed || permitsAddress(rules, address)));
  const [first] = addresses;
  return rules.proxy && first !== undefined ? viaProxy(world, rules.proxy, first, port) : connectOut(addresses, port);
}

/** Nothing goes out beside a proxy that does not answer. */
async function viaProxy(world: World, proxy: EgressProxy, host: string, port: number): Promise<Duplex> {
  const stream = await connectOut(await proxyAddresses(world, proxy), proxy.port);
  try {
    await throughSocks(stream, proxy, { host, port });
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** Where a proxy is: its addresses that are on the internet and not this host. */
export async function proxyAddresses({ nameServers = [] }: World, { host }: EgressProxy): Promise<string[]> {
  return (await lookupBy(nameServers)(host)).filter(isOutside);
}
