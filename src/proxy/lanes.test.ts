import { expect, test } from 'vitest';
import type { MachineId } from '../kernel/ids.ts';
import { systemClock } from '../platform/clock.ts';
import { createLanes, MAX_OPEN } from './lanes.ts';

test('a machine is visited by so many at a time, and machines with all they may have leave the others theirs', async () => {
  const lanes = createLanes({
    clock: systemClock,
    machines: { dial: () => Promise.reject(new Error('nobody dials')) },
  });
  const leave: (() => void)[] = [];
  /** How many of so many visits to a machine are let in; they stay until the end. */
  const visits = async (machine: string, count: number): Promise<number> => {
    let inside = 0;
    const stay = () =>
      new Promise<string>((resolve) => {
        inside += 1;
        leave.push(() => resolve('gone'));
      });
    const place = (port: number) => ({ machineId: machine as MachineId, port, tls: false });
    const all = Array.from({ length: count }, (_, index) => lanes.use(place(80 + (index % 3)), { woken: false }, stay));
    visiting.push(...all);
    await Promise.resolve();
    return inside;
  };
  const visiting: Promise<string | undefined>[] = [];
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
