import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_CONNECTIONS } from '../../src/domains/machines/drivers/oci/connection-rules.ts';
import { readRecord } from '../../src/domains/machines/drivers/oci/record.ts';
import { layoutOf, placesOf } from '../../src/domains/machines/drivers/oci/layout.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { run } from '../../src/platform/run.ts';
import { newMachineId, prepareTestHost, testHost, type TestHost } from '../machines/host.ts';

/** Of the range for documentation: nobody else's. */
const [ONE, TWO] = ['203.0.113.21', '203.0.113.22'];
const LIMITS = { vcpus: 1, memoryMb: 256, diskGb: 0.25, pids: 128 };

let host: TestHost;
beforeAll(async () => {
  await prepareTestHost();
  host = await testHost('crun');
}, 900_000);
afterAll(async () => {
  await host?.dispose();
  expect(await host?.tracesLeft()).toEqual([]);
});

const withAddress = (address: string, hostname: string): Promise<MachineId> =>
  host.create({ id: newMachineId(), limits: LIMITS, standing: { hostname, address } });

const serve = (id: MachineId) =>
  host.sh(id, 'cd /tmp && hostname > index.html && (setsid python3 -m http.server 8000 >/dev/null 2>&1 &) && sleep 1', {
    user: 'root',
  });
const fetched = async (url: string): Promise<string> => {
  const { stdout, stderr } = await run(['curl', '-sS', '--noproxy', '*', '--max-time', '5', url]);
  return `${stdout.toString()}${stderr.toString()}`.trim();
};
const said = async (id: MachineId, command: string): Promise<string> => {
  const outcome = await host.sh(id, command);
  return outcome.kind === 'exited' ? `${outcome.stdout.toString()}${outcome.stderr.toString()}`.trim() : outcome.kind;
};

test('an address of its own leads to every port of a machine and to no other, and machines reach each other by it', async () => {
  const [one, two] = [await withAddress(ONE, 'one'), await withAddress(TWO, 'two')];
  const plain = await host.create({ limits: LIMITS });
  await Promise.all([serve(one), serve(two), serve(plain)]);
  expect(await fetched(`http://${ONE}:8000/`)).toBe('one');
  expect(await fetched(`http://${TWO}:8000/`)).toBe('two');
  expect(await fetched(`http://${ONE}:8001/`)).toMatch(/refused|Failed to connect|Couldn't connect/i);
  expect(await said(two, `curl -sS --max-time 5 http://${ONE}:8000/`)).toBe('one');
  expect(await said(plain, `curl -sS --max-time 5 http://${ONE}:8000/`)).toBe('one');

  // By its address behind the link a machine is reached by the host alone, and by no machine.
  const record = await readRecord(placesOf(layoutOf(host.options), one).record);
  const inside = await said(one, "ip -4 -o addr show dev eth0 | awk '{print $4}' | cut -d/ -f1");
  expect(record?.link).toMatch(/^fh/);
  expect(await said(plain, `curl -sS --max-time 2 http://${inside}:8000/`)).toMatch(/timed out|Timeout|reach|28/i);

  // What is set for it later leaves it its address.
  await host.driver.setRules(one, { allow: [], deny: ['192.0.2.0/24'] });
  expect(await fetched(`http://${ONE}:8000/`)).toBe('one');
  await host.driver.stop(one);
  expect(await fetched(`http://${ONE}:8000/`)).not.toBe('one');
  await host.driver.destroy(two);
  expect(await fetched(`http://${TWO}:8000/`)).not.toBe('two');
}, 60_000);

test('so many connections and no more come to the address of a machine, and to another as ever', async () => {
  const [one, two] = [await withAddress(ONE, 'one'), await withAddress(TWO, 'two')];
  const echo = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 8000))
while True: data, where = s.recvfrom(5); s.sendto(data, where)`;
  const servers = [one, two].map((id) => host.sh(id, '', { command: ['python3', '-c', echo], timeoutMs: 50_000 }));
  const visitors = await Promise.all(
    [20_000, 30_000].map(async (port) => [await host.create({ limits: LIMITS }), port]),
  );
  const answered = async (address: string): Promise<number> => {
    const counts = visitors.map(async ([id, port]) => {
      const program = `import socket
count = silent = 0
while silent < 3 and count < ${MAX_CONNECTIONS * 0.75}:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5); s.bind(('', ${port} + count + silent))
    try: s.sendto(b'x', ('${address}', 8000)); s.recv(5); count += 1; silent = 0
    except OSError: silent += 1
    s.close()
print(count)`;
      const outcome = await host.sh(id as MachineId, '', { command: ['python3', '-c', program], timeoutMs: 50_000 });
      return Number(outcome.stdout.toString());
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count);
  };
  expect(await answered(ONE)).toBe(MAX_CONNECTIONS);
  expect(await answered(TWO)).toBeGreaterThan(0);
  for (const { id } of await host.driver.list()) await host.driver.destroy(id as MachineId);
  await Promise.allSettled(servers);
}, 120_000);
