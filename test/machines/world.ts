import { randomBytes, randomInt } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { must, run } from '../../src/platform/run.ts';

/** A network namespace of the test's own that plays some part of the world outside. */
export type Place = { address: string; port: number; remove(): Promise<void> };

export const PLACE_PORT = 7_007;
/** Answers each connection and each datagram with the address that it came from. */
const SERVER = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (_, from) => socket.send('hello ' + from.address, from.port, from.address));
socket.bind(${PLACE_PORT}, process.argv[1]);
require('node:net').createServer((socket) => { socket.on('error', () => {}); socket.end('hello ' + socket.remoteAddress); })
  .listen(${PLACE_PORT}, '0.0.0.0', () => console.log('listening'));
`;

/**
 * Puts a server at an address that the host reaches through a link of its own. Nothing leaves the host: the route to
 * the address ends in the namespace. The program says a word when it serves; it finds its argument where Node puts it.
 */
export async function placeAt(address: string, program = SERVER, argument = address): Promise<Place> {
  await removePlaceAt(address);
  const name = `fhw${randomBytes(4).toString('hex')}`;
  const remove = async () => {
    await run(['ip', 'netns', 'delete', name]);
    await run(['ip', 'link', 'delete', name]);
  };
  try {
    await link(name, address);
    const server = spawn('nsenter', [`--net=/run/netns/${name}`, '--', process.execPath, '-e', program, argument], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(server.stdout, 'data');
    return { address, port: PLACE_PORT, remove: () => (server.kill('SIGKILL'), remove()) };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A run of the tests that was killed leaves its namespaces behind, with a route that would stand in the way. */
async function removePlaceAt(address: string): Promise<void> {
  const device = /dev (fhw\S+)/.exec(await must(['ip', 'route', 'show', `${address}/32`]))?.[1];
  if (device === undefined) return;
  await run(['ip', 'link', 'delete', device]);
  await run(['ip', 'netns', 'delete', device]);
}

async function link(name: string, address: string): Promise<void> {
  const [near, far] = nextLinkNet();
  await must(['ip', 'netns', 'add', name]);
  await must(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
  await batch(
    `address add ${near}/30 dev ${name}\nlink set ${name} up\nroute add ${address}/32 via ${far} dev ${name}`,
  );
  await batch(
    `link set lo up\naddress add ${far}/30 dev eth0\naddress add ${address}/32 dev lo\nlink set eth0 up\nroute add default via ${near}`,
    ['-netns', name],
  );
}

const LINK_NETS = 64;
let linkNet = randomInt(0, LINK_NETS);

/** A /30 for a link, out of a range for documentation (RFC 5737), which nobody uses; each one once. */
function nextLinkNet(): [near: string, far: string] {
  linkNet = (linkNet + 1) % LINK_NETS;
  return [`198.51.100.${linkNet * 4 + 1}`, `198.51.100.${linkNet * 4 + 2}`];
}

const batch = (text: string, options: string[] = []) => must(['ip', ...options, '-batch', '-'], { stdin: `${text}\n` });

/** A server on this host, such as the control plane is, on every address there is. */
export async function serverOnHost(): Promise<{ port: number; remove(): Promise<void> }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(`hello ${socket.remoteAddress}`);
  });
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return { port: address.port, remove: async () => void server.close() };
}

/** Addresses of this host itself. */
export async function hostAddresses(): Promise<string[]> {
  const lines = (await must(['ip', '-oneline', '-4', 'address', 'show', 'scope', 'global'])).trim().split('\n');
  return lines.flatMap((line) => /inet ([\d.]+)/.exec(line)?.[1] ?? []);
}
