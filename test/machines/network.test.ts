import { randomInt } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { totalmem } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GateCall } from '../../src/domains/machines/drivers/driver.ts';
import { MAX_CONNECTIONS } from '../../src/domains/machines/drivers/oci/connection-rules.ts';
import { markOf } from '../../src/domains/machines/drivers/oci/gate-rules.ts';
import { mostMachines } from '../../src/domains/machines/room.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { must } from '../../src/platform/run.ts';
import { prepareTestHost, RUNTIMES, SMALL, testHost, type TestHost } from './host.ts';
import { hostAddresses, placeAt, serverOnHost, type Place } from './world.ts';

const TABLE_SIZE = '/proc/sys/net/netfilter/nf_conntrack_max';
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

let world: Place;
let inside: Place[];
let control: Awaited<ReturnType<typeof serverOnHost>>;
const made: { remove(): Promise<void> }[] = [];

async function placed(address: string): Promise<Place> {
  const place = await placeAt(address);
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

  test(
    'has so many connections and no more, also when the rules are put in place again',
    { timeout: 120_000 },
    async () => {
      const greedy = await host.create();
      expect(await answered(host, greedy, [WORLD, world.port], 20_000)).toBe(MAX_CONNECTIONS);
      await host.driver.guard();
      expect(await answered(host, greedy, [WORLD, world.port], 30_000)).toBe(0);
      expect((await connections(host, id, [[world.address, world.port]]))[0]).toMatch(/^open/);
      await host.driver.destroy(greedy);
    },
  );

  test('has no more of them through the gate', { timeout: 120_000 }, async () => {
    const greedy = await host.create({
      rules: { allow: [], deny: [], gate: 'tcp' },
      limits: { ...SMALL, memoryMb: 512 },
    });
    const held: GateCall['stream'][] = [];
    const gate = await host.driver.openGate(({ stream }) => void (held.push(stream), stream.write('here')));
    expect(await heldOpen(host, greedy, [WORLD, 80])).toBe(MAX_CONNECTIONS);
    for (const stream of held) stream.destroy();
    gate.close();
    await host.driver.destroy(greedy);
  });

  test('leaves the host room in the table that all connections are in', async () => {
    await writeFile(TABLE_SIZE, '262144');
    await host.driver.guard();
    const most = mostMachines(totalmem() / 1_048_576);
    expect(Number(await readFile(TABLE_SIZE, 'utf8'))).toBeGreaterThan(most * 2 * MAX_CONNECTIONS);
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

/** How many of a machine's datagrams are answered, each from a port of its own, until three in turn are not. */
async function answered(host: TestHost, id: MachineId, target: Target, firstPort: number): Promise<number> {
  const program = `
import json, socket, sys
count = silent = 0
while silent < 3:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5); s.bind(('', ${firstPort} + count + silent))
    try:
        s.sendto(b'x', tuple(json.loads(sys.argv[1]))); s.recv(5); count += 1; silent = 0
    except OSError: silent += 1
    s.close()
print(count)
`;
  const outcome = await host.sh(id, '', {
    command: ['python3', '-c', program, JSON.stringify(target)],
    timeoutMs: 60_000,
  });
  return Number(outcome.stdout.toString());
}

/** How many connections a machine can have open to one address at a time. */
async function heldOpen(host: TestHost, id: MachineId, target: Target): Promise<number> {
  const program = `
import json, socket, sys
held = []
try:
    while len(held) < ${MAX_CONNECTIONS + 100}:
        s = socket.create_connection(tuple(json.loads(sys.argv[1])), 5); held.append(s)
except OSError as error: print(len(held), error)
`;
  const outcome = await host.sh(id, '', {
    command: ['python3', '-c', program, JSON.stringify(target)],
    timeoutMs: 60_000,
  });
  console.log(outcome.stdout.toString());
  return Number.parseInt(outcome.stdout.toString());
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
