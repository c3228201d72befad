import { readFile, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GateCall } from '../../src/domains/machines/drivers/driver.ts';
import { MAX_CONNECTIONS } from '../../src/domains/machines/drivers/oci/connection-rules.ts';
import { mostMachines } from '../../src/domains/machines/room.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { prepareTestHost, RUNTIMES, SMALL, testHost, type TestHost } from './host.ts';
import { placeAt, type Place } from './world.ts';

const TABLE_SIZE = '/proc/sys/net/netfilter/nf_conntrack_max';
const WORLD = '203.0.113.11';

let world: Place;

beforeAll(async () => {
  await prepareTestHost();
  world = await placeAt(WORLD);
}, 900_000);
afterAll(() => world.remove());

describe.each(RUNTIMES)('a machine (%s)', (runtime) => {
  let host: TestHost;

  beforeAll(async () => {
    host = await testHost(runtime);
  });
  afterAll(() => host.dispose());

  test(
    'has so many connections and no more, also when the rules are put in place again',
    { timeout: 120_000 },
    async () => {
      const [greedy, modest] = await Promise.all([host.create(), host.create()]);
      expect(await answered(host, greedy, [WORLD, world.port], 20_000)).toBe(MAX_CONNECTIONS);
      await host.driver.guard();
      expect(await answered(host, greedy, [WORLD, world.port], 30_000)).toBe(0);
      expect(await answered(host, modest, [WORLD, world.port], 20_000, 1)).toBe(1);
      await Promise.all([host.driver.destroy(greedy), host.driver.destroy(modest)]);
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
    const id = await host.create();
    await writeFile(TABLE_SIZE, '262144');
    await host.driver.guard();
    const most = mostMachines(totalmem() / 1_048_576);
    expect(Number(await readFile(TABLE_SIZE, 'utf8'))).toBeGreaterThan(most * 2 * MAX_CONNECTIONS);
    await host.driver.destroy(id);
  });
});

type Target = [address: string, port: number];

/** How many of a machine's datagrams are answered, each from a port of its own, until three in turn are not. */
async function answered(
  host: TestHost,
  id: MachineId,
  target: Target,
  firstPort: number,
  most = 2 * MAX_CONNECTIONS,
): Promise<number> {
  const program = `
import json, socket, sys
count = silent = 0
while silent < 3 and count < ${most}:
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
  return Number.parseInt(outcome.stdout.toString());
}
