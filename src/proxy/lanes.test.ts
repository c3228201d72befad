import { expect, test } from 'vitest';
import type { MachineId } from '../kernel/ids.ts';
import { systemClock } from '../platform/clock.ts';
import { createLanes, MAX_OPEN } from './lanes.ts';

function world() {
  const lanes = createLanes({
    clock: systemClock,
    machines: { dial: () => Promise.reject(new Error('nobody dials')) },
  });
  const leave: (() => void)[] = [];
  const visiting: Promise<string | undefined>[] = [];
  /** How many of so many visits to a machine are let in, each of another network where none is said; they stay. */
  const visits = async (machine: string, count: number, network?: string): Promise<number> => {
    let inside = 0;
    const stay = () =>
      new Promise<string>((resolve) => {
        inside += 1;
        leave.push(() => resolve('gone'));
      });
    const place = (port: number) => ({ machineId: machine as MachineId, port, tls: false });
    const all = Array.from({ length: count }, (_, index) =>
      lanes.use(place(80 + (index % 3)), { woken: false, network: network ?? `network ${index}` }, stay),
    );
    visiting.push(...all);
    await Promise.resolve();
    return inside;
  };
  return { lanes, visits, visiting, leave };
}

test('a machine is visited by so many at a time, and machines with all they may have leave the others theirs', async () => {
  const { lanes, visits, visiting, leave } = world();
  const half = MAX_OPEN.all / 2;
  const full = half / MAX_OPEN.each;
  for (let each = 0; each < full; each++) expect(await visits(`m${each}`, MAX_OPEN.each + 5)).toBe(MAX_OPEN.each);
  expect(await visits('late', MAX_OPEN.each)).toBe(Math.floor(half / (full + 1)));
  for (const go of leave) go();
  expect((await Promise.all(visiting)).filter((outcome) => outcome === undefined)).toHaveLength(
    full * 5 + MAX_OPEN.each - Math.floor(half / (full + 1)),
  );
  expect(await visits('m0', 1)).toBe(1);
  for (const go of leave) go();
  lanes.close();
});

test('one network has a share of the places of a machine, over all its ports, and leaves the others to others', async () => {
  const { lanes, visits, leave, visiting } = world();
  expect(await visits('m', MAX_OPEN.each, 'greedy')).toBe(MAX_OPEN.network);
  expect(await visits('another', 1, 'greedy')).toBe(1);
  expect(await visits('m', MAX_OPEN.each, 'second')).toBe(MAX_OPEN.network);
  expect(await visits('m', 200)).toBe(200);
  expect(await visits('m', 1, 'greedy')).toBe(0);
  for (const go of leave) go();
  await Promise.all(visiting);
  expect(await visits('m', 1, 'greedy')).toBe(1);
  for (const go of leave) go();
  lanes.close();
});
