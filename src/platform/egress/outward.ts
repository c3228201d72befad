import { Resolver } from 'node:dns/promises';
import { createConnection, isIPv4, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect as connectTls } from 'node:tls';
import type { Duplex } from 'node:stream';
import { SECOND } from '../../kernel/time.ts';
import { reachOf } from '../addresses.ts';

const CONNECT_TIMEOUT_MS = 10 * SECOND;
const RESOLVE_TIMEOUT_MS = 3 * SECOND;
/** Addresses of one name that are tried. */
const MAX_TRIED = 4;

/** Whether a stranger's program may be connected there for its owner: the internet, and nothing of this host. */
export function isOutside(address: string): boolean {
  if (!isIPv4(address) || reachOf(address) !== 'public') return false;
  const own = Object.values(networkInterfaces()).flatMap((interfaces) => interfaces ?? []);
  return !own.some((each) => each.address === address);
}

export type Lookup = (name: string) => Promise<string[]>;

/** The IPv4 addresses of names, by these name servers, or the host's. None where the name has none. */
export const lookupBy =
  (servers: readonly string[]): Lookup =>
  async (name) => {
    if (isIPv4(name)) return [name];
    const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MS, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    return await resolver.resolve4(name).catch(() => []); // a name that nobody knows leads nowhere
  };

/** Connects to the first of the addresses that answers. */
export async function connectOut(addresses: readonly string[], port: number): Promise<Socket> {
  let failure: unknown = new Error('The name has no address that may be reached');
  for (const host of addresses.slice(0, MAX_TRIED)) {
    try {
      return await connectTo(host, port);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function connectTo(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error('Nobody answered in time')), CONNECT_TIMEOUT_MS);
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(timer));
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

/** TLS over a connection, as a client. `verified`: only with whoever proves to be `name`. */
export function secured(stream: Duplex, options: { name?: string; verified: boolean }): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const { name, verified } = options;
    const socket = connectTls({
      socket: stream,
      ...(name !== undefined && { servername: name }),
      rejectUnauthorized: verified,
      ALPNProtocols: ['http/1.1'],
    });
    const timer = setTimeout(() => socket.destroy(new Error('No TLS in time')), CONNECT_TIMEOUT_MS);
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(timer);
      stream.destroy();
      reject(new Error('The connection ended before TLS began'));
    });
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}
