import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GateCall } from '../../src/domains/machines/drivers/driver.ts';
import { markOf } from '../../src/domains/machines/drivers/oci/gate-rules.ts';
import { resolversFrom } from '../../src/domains/machines/drivers/oci/network.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { must } from '../../src/platform/run.ts';
import { prepareTestHost, RUNTIMES, testHost, type TestHost } from './host.ts';
import { hostAddresses, PLACE_PORT, placeAt, serverOnHost, type Place } from './world.ts';

const WORLD = '203.0.113.10';
/** One host in each range that is not the public internet; the last digits are random, lest they be someone's. */
const PRIVATE = [
  `10.213.77.${randomInt(1, 255)}`,
  `172.29.77.${randomInt(1, 255)}`,
  `192.168.213.${randomInt(1, 255)}`,
  `100.99.77.${randomInt(1, 255)}`,
  `169.254.77.${randomInt(1, 255)}`,
  '169.254.169.254',
];

const DNS_PORT = 53;
/** Answers at the port of name servers, and at another one. */
const NAME_SERVER = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (_, from) => socket.send('hello', from.port, from.address));
socket.bind(${DNS_PORT}, process.argv[1]);
const listen = (port, done) => require('node:net').createServer((socket) => {
  socket.on('error', () => {}); socket.end('hello');
}).listen(port, '0.0.0.0', done);
listen(${DNS_PORT}, () => listen(${PLACE_PORT}, () => console.log('listening')));
`;

let world: Place;
let inside: Place[];
let control: Awaited<ReturnType<typeof serverOnHost>>;
const made: { remove(): Promise<void> }[] = [];

async function placed(address: string, program?: string): Promise<Place> {
  const place = await placeAt(address, program);
  made.push(place);
  return place;
}

beforeAll(async () => {
  await prepareTestHost();
  world = await placed(WORLD);
  inside = [];
  for (const address of PRIVATE) inside.push(await placed(address));
  control = await serverOnHost();
  made.push(control);
}, 900_000);
afterAll(async () => {
  await Promise.all(made.map((each) => each.remove()));
});

describe.each(RUNTIMES)('the network of a machine (%s)', (runtime) => {
  let host: TestHost;
  let other: TestHost;
  let id: MachineId;
  let neighbour: MachineId;
  let stranger: MachineId;

  beforeAll(async () => {
    [host, other] = await Promise.all([testHost(runtime), testHost(runtime)]);
    [id, neighbour, stranger] = await Promise.all([host.create(), host.create(), other.create()]);
  });
  afterAll(async () => {
    await Promise.all([host.dispose(), other.dispose()]);
  });

  test('reaches the world, which sees the host', async () => {
    const [answer] = await connections(host, id, [[world.address, world.port]]);
    expect(answer).toMatch(/^open hello [\d.]+$/);
    expect(answer).not.toContain('198.18.');
  });

  test('does not reach the control plane, at any address of the host', async () => {
    const link = await addressesOf(host, id);
    const addresses = [link.gateway, ...(await hostAddresses()), '127.0.0.1', '127.0.0.53', '0.0.0.0', '198.18.0.0'];
    for (const address of [link.gateway, '127.0.0.1']) expect(await fromHost(address, control.port)).toMatch(/^hello/);
    await expectClosed(
      host,
      id,
      addresses.map((address) => [address, control.port]),
    );
  });

  test('does not reach its neighbours, of its own installation or another', async () => {
    const listen = `exec python3 -m http.server 8123 --bind 0.0.0.0`;
    const servers = [host.sh(neighbour, listen), other.sh(stranger, listen)];
    const targets = await Promise.all([addressesOf(host, neighbour), addressesOf(other, stranger)]);
    for (const { own } of targets) await expect.poll(() => fromHost(own, 8123), { timeout: 10_000 }).toMatch(/./);
    await expectClosed(
      host,
      id,
      targets.flatMap(({ own, gateway }) => [
        [own, 8123],
        [gateway, control.port],
      ]),
    );
    await Promise.all([host.driver.destroy(neighbour), other.driver.destroy(stranger), ...servers]);
  });

  test('does not reach private networks nor the metadata address, which the host does reach', async () => {
    for (const { address, port } of inside) expect(await fromHost(address, port)).toMatch(/^hello/);
    await expectClosed(
      host,
      id,
      inside.map(({ address, port }) => [address, port]),
    );
  });

  test('has no other way by datagrams, and no version 6 at all', async () => {
    const addresses = [world, ...inside].map(({ address }) => address);
    const program = `
import socket
for address in ${JSON.stringify(addresses)}:
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
        s.sendto(b'x', (address, ${world.port})); print(address, s.recv(5).decode())
    except OSError as error: print(address, 'closed')
`;
    const outcome = await host.sh(id, '', { command: ['python3', '-c', program] });
    const expected = addresses.map((address) => `${address} ${address === WORLD ? 'hello' : 'closed'}`);
    expect(outcome.stdout.toString().trim().split('\n')).toEqual(expected);
    expect((await host.sh(id, 'ip -6 address; cat /proc/net/if_inet6')).stdout.toString()).toBe('');
  });

  test('keeps its address: it cannot send as another, nor sniff, nor change its link', async () => {
    const { gateway } = await addressesOf(host, id);
    const outcome = await host.sh(
      id,
      `ip address add ${WORLD}/32 dev eth0; ip link set eth0 down; ip neigh replace ${gateway} lladdr 02:00:00:00:00:01 dev eth0`,
      { user: 'root' },
    );
    expect(outcome.stderr.toString().match(/not permitted/g)).toHaveLength(3);
    expect((await connections(host, id, [[world.address, world.port]]))[0]).toMatch(/^open/);
  });

  test('binds low ports without root, and resolves names by public servers', async () => {
    const outcome = await host.sh(
      id,
      `python3 -c "import socket; socket.create_server(('', 80))" && cat /etc/resolv.conf`,
    );
    expect(outcome).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(outcome.stdout.toString()).toMatch(/^nameserver (?!10\.|127\.|192\.168\.)/);
  });

  test('a machine without network has its own loopback only', async () => {
    const alone = await host.create({ network: 'none' });
    expect((await host.sh(alone, 'ip -oneline link | wc -l')).stdout.toString().trim()).toBe('1');
    expect((await connections(host, alone, [[world.address, world.port]]))[0]).toMatch(/unreachable/);
    const loopback = await host.sh(
      alone,
      `python3 -c "
import socket
server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname()); print('ok')"`,
    );
    expect(loopback.stdout.toString()).toBe('ok\n');
  });

  test('reaches no more than its own rules allow, from its first moment and after each change, whatever is flushed', async () => {
    const deny = ['0.0.0.0/0'];
    const ruled = await host.create({ rules: { allow: [], deny } });
    const reached = async () => (await connections(host, ruled, [[world.address, world.port]]))[0] ?? '';
    expect(await reached()).not.toMatch(/^open/);
    await host.driver.setRules(ruled, { allow: [`${WORLD}/32`], deny });
    expect(await reached()).toMatch(/^open/);
    // What is allowed opens nothing that is closed to all machines.
    await host.driver.setRules(ruled, { allow: ['0.0.0.0/0'], deny: [] });
    const [first] = inside;
    if (first) await expectClosed(host, ruled, [[first.address, first.port]]);
    await host.driver.setRules(ruled, { allow: [], deny: [WORLD] });
    await must(['nft', 'delete', 'table', 'inet', `freehold_${host.instance}`]);
    await host.driver.guard();
    expect(await reached()).not.toMatch(/^open/);
    expect((await connections(host, id, [[world.address, world.port]]))[0]).toMatch(/^open/);
    await host.driver.destroy(ruled);
  });

  test('asks its name servers whatever is denied where it needs names, nothing else of them, and none where not', async () => {
    const address = resolversFrom(await readFile('/etc/resolv.conf', 'utf8')).at(-1) ?? '';
    const server = await placed(address, NAME_SERVER);
    const ports: Target[] = [
      [address, DNS_PORT],
      [address, server.port],
    ];
    const deny = ['0.0.0.0/0'];
    const [asking, deaf] = await Promise.all([
      host.create({ rules: { allow: [], deny, resolves: true } }),
      host.create({ rules: { allow: [], deny } }),
    ]);
    const reached = async (machine: MachineId) => [
      ...(await connections(host, machine, ports)).map((answer) => answer.startsWith('open')),
      await datagram(host, machine, [address, DNS_PORT]),
    ];
    expect(await reached(id)).toEqual([true, true, 'hello']);
    expect(await reached(asking)).toEqual([true, false, 'hello']);
    expect(await reached(deaf)).toEqual([false, false, 'closed']);
    await Promise.all([
      host.driver.setRules(asking, { allow: [], deny }),
      host.driver.setRules(deaf, { allow: [], deny, resolves: true }),
    ]);
    expect(await reached(asking)).toEqual([false, false, 'closed']);
    expect(await reached(deaf)).toEqual([true, false, 'hello']);
    await Promise.all([host.driver.destroy(asking), host.driver.destroy(deaf), server.remove()]);
  });

  test('what it receives and sends is counted', async () => {
    const counted = async () => {
      const { networkReceivedBytes = 0, networkSentBytes = 0 } = (await host.driver.usage(id)) ?? {};
      return { received: networkReceivedBytes, sent: networkSentBytes };
    };
    const before = await counted();
    const program = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100): s.sendto(b'x' * 1000, ('${WORLD}', ${world.port})); s.recv(100)
`;
    expect(await host.sh(id, '', { command: ['python3', '-c', program] })).toMatchObject({ exitCode: 0 });
    const after = await counted();
    expect(after.sent - before.sent).toBeGreaterThan(100_000);
    expect(after.sent - before.sent).toBeLessThan(200_000);
    expect(after.received - before.received).toBeGreaterThan(1_000);
    expect(after.received - before.received).toBeLessThan(50_000);
  });

  test('a change of its rules holds for connections that are open', async () => {
    const ruled = await host.create();
    const program = `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)
while True:
    try:
        s.sendto(b'x', ('${WORLD}', ${world.port})); s.recv(5); print('heard', flush=True)
    except OSError: print('silence', flush=True)
    time.sleep(0.05)
`;
    const enough = new AbortController();
    let last = '';
    const talk = host.sh(ruled, '', {
      command: ['python3', '-c', program],
      onOutput: (_, chunk) => void (last = chunk.toString()),
      signal: enough.signal,
    });
    await expect.poll(() => last, { timeout: 10_000 }).toContain('heard');
    await host.driver.setRules(ruled, { allow: [], deny: ['0.0.0.0/0'] });
    await expect.poll(() => last, { timeout: 10_000 }).toContain('silence');
    await host.driver.setRules(ruled, { allow: [], deny: [] });
    await expect.poll(() => last, { timeout: 10_000 }).toContain('heard');
    enough.abort();
    await talk;
    await host.driver.destroy(ruled);
  });

  test('what is gated comes to who has opened the gate, with whom it wanted, and goes nowhere while nobody has', async () => {
    const [web, all] = await Promise.all([
      host.create({ rules: { allow: [WORLD], deny: [], gate: 'web' } }),
      host.create({ rules: { allow: [WORLD], deny: [], gate: 'tcp' } }),
    ]);
    const targets: Target[] = [
      [WORLD, 80],
      [WORLD, 443],
      [WORLD, world.port],
    ];
    const reached = async (machine: MachineId) =>
      (await connections(host, machine, targets)).map((answer) => /^open (.*)/.exec(answer)?.[1] ?? 'closed');
    expect(await reached(web)).toEqual(['closed', 'closed', expect.stringMatching(/^hello/)]);
    expect(await reached(all)).toEqual(['closed', 'closed', 'closed']);
    const take = ({ machine, address, port, stream }: GateCall) => void stream.end(`${machine} ${address} ${port}`);
    // A second process that takes part, and one that ends.
    const gates = [await host.driver.openGate(take), await host.driver.openGate(take)];
    const told = (machine: MachineId, port: number) => `${machine} ${WORLD} ${port}`;
    expect(await reached(web)).toEqual([told(web, 80), told(web, 443), expect.stringMatching(/^hello/)]);
    expect(await reached(all)).toEqual([told(all, 80), told(all, 443), told(all, world.port)]);
    expect(await reached(id)).toEqual(['closed', 'closed', expect.stringMatching(/^hello/)]);
    gates[0]?.close();
    await must(['ip', 'rule', 'delete', 'fwmark', String(markOf(host.instance))]);
    expect(await reached(all)).toEqual(['closed', 'closed', 'closed']);
    await host.driver.guard();
    expect(await reached(all)).toEqual([told(all, 80), told(all, 443), told(all, world.port)]);
    await host.driver.setRules(all, { allow: [], deny: [] });
    expect(await reached(all)).toEqual(['closed', 'closed', expect.stringMatching(/^hello/)]);
    gates[1]?.close();
    expect(await reached(web)).toEqual(['closed', 'closed', expect.stringMatching(/^hello/)]);
    await Promise.all([host.driver.destroy(web), host.driver.destroy(all)]);
  });

  test('rules that someone flushed are back after the next look', async () => {
    await must(['nft', 'delete', 'table', 'inet', `freehold_${host.instance}`]);
    await host.driver.guard();
    const { gateway } = await addressesOf(host, id);
    await expectClosed(host, id, [[gateway, control.port]]);
    expect((await connections(host, id, [[world.address, world.port]]))[0]).toMatch(/^open/);
  });
});

type Target = [address: string, port: number];

/** What comes of connecting from inside the machine: `open` and the first words, or why not. */
async function connections(host: TestHost, id: MachineId, targets: Target[]): Promise<string[]> {
  const program = `
import concurrent.futures, json, socket, sys
def attempt(target):
    try:
        connection = socket.create_connection(tuple(target), 2); return 'open ' + connection.recv(100).decode()
    except OSError as error: return str(error)
targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool: print(json.dumps(list(pool.map(attempt, targets))))
`;
  const outcome = await host.sh(id, '', { command: ['python3', '-c', program, JSON.stringify(targets)] });
  return JSON.parse(outcome.stdout.toString()) as string[];
}

/** What is answered to a datagram from inside the machine. */
async function datagram(host: TestHost, id: MachineId, [address, port]: Target): Promise<string> {
  const program = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
try:
    s.sendto(b'x', ('${address}', ${port})); print(s.recv(5).decode())
except OSError: print('closed')
`;
  return (await host.sh(id, '', { command: ['python3', '-c', program] })).stdout.toString().trim();
}

async function expectClosed(host: TestHost, id: MachineId, targets: Target[]): Promise<void> {
  const results = await connections(host, id, targets);
  const open = targets.filter((_, index) => results[index]?.startsWith('open'));
  expect(open).toEqual([]);
}

async function addressesOf(host: TestHost, id: MachineId): Promise<{ own: string; gateway: string }> {
  const text = (await host.sh(id, 'ip -oneline -4 address show eth0; ip route')).stdout.toString();
  return { own: /inet ([\d.]+)/.exec(text)?.[1] ?? '', gateway: /default via ([\d.]+)/.exec(text)?.[1] ?? '' };
}

/** The first words that a server says to this host. */
const fromHost = (address: string, port: number): Promise<string> =>
  new Promise((resolve) => {
    const socket = createConnection({ host: address, port, timeout: 3_000 });
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.on('data', (chunk) => resolve(chunk.toString()));
    socket.on('error', (error) => resolve(error.message));
    socket.on('timeout', () => socket.destroy(new Error('timeout')));
  });
