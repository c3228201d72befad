import { afterAll, beforeAll, expect, test } from 'vitest';
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
