import { expect, test } from 'vitest';
import type { Usage } from '../../src/domains/machines/index.ts';
import { DAY, HOUR, SECOND } from '../../src/kernel/time.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();
const { clock, op, over, started } = world;
const everything = () => ({ start: new Date(0), end: new Date(clock.now().getTime() + SECOND) });

test('what each running machine uses is noted every five seconds, and kept for an hour', async () => {
  const [busy, idle, resting] = [await started(), await started(), await started()];
  await world.machines.pause(op(), resting);
  let cpuSeconds = 1;
  const machines = over({
    usage: async (id) => {
      const usage = await world.driver.usage(id);
      return usage && { ...usage, ...(id === busy && { cpuSeconds }) };
    },
  });
  expect(await machines.takeSamples(op())).toBe(2);
  expect(await machines.takeSamples(op())).toBe(0);
  clock.ahead = 5 * SECOND;
  cpuSeconds += 2.5;
  expect(await machines.takeSamples(op())).toBe(2);
  const samples = await machines.samples(op(), busy, everything());
  expect(samples.map((sample) => sample.cpuSeconds)).toEqual([1, 3.5]);
  expect(samples[0]?.cpuUsedPercent).toBe(0);
  expect(Math.abs((samples[1]?.cpuUsedPercent ?? 0) - 50)).toBeLessThan(5);
  expect(samples[1]).toMatchObject<Partial<Usage>>({ memoryBytes: 4_194_304, diskTotalBytes: 268_435_456 });
  expect(await machines.samples(op(), resting, everything())).toEqual([]);
  // A span is measured from the sample before it.
  const [last] = await machines.samples(op(), busy, { ...everything(), start: samples[1]?.at ?? new Date() });
  expect(last).toEqual(samples[1]);
  expect((await machines.samples(op(), idle, everything())).map(({ cpuUsedPercent }) => cpuUsedPercent)).toEqual([
    0, 0,
  ]);
  await machines.pause(op(), busy);
  await machines.pause(op(), idle);
  clock.ahead = HOUR + 7 * SECOND;
  expect(await machines.takeSamples(op())).toBe(0);
  expect(await machines.samples(op(), busy, everything())).toEqual([]);
});

test('a machine that is lost ran until it was last seen, and had used what it was seen to use, however late that is found', async () => {
  const [lost, other] = [await started(), await started()];
  const machines = over({
    usage: async (id) => {
      const usage = await world.driver.usage(id);
      return usage && { ...usage, cpuSeconds: 7 };
    },
  });
  clock.ahead = 20 * SECOND;
  expect(await machines.takeSamples(op())).toBe(2);
  // The host is down for a day, and one machine is not there any more when it is up again.
  clock.ahead += DAY;
  world.driver.present.delete(lost);
  expect(await machines.takeSamples(op())).toBe(1);
  await machines.setLease(op(), other, new Date(clock.now().getTime() + HOUR));
  await machines.setLease(op(), lost, new Date(clock.now().getTime() + HOUR));
  expect((await machines.sweep(op())).removed).toEqual([lost]);
  const [last] = (await world.facts(lost)).slice(-1);
  expect(last).toMatchObject({ type: 'machine.destroyed', data: { reason: 'lost', cpuSeconds: 7 } });
  const ranMs = Number(last?.data['runningMs']);
  expect(ranMs).toBeGreaterThan(19 * SECOND);
  expect(ranMs).toBeLessThan(60 * SECOND);
  expect(Date.parse(String(last?.data['seenAt']))).toBeLessThan(clock.now().getTime() - DAY + 60 * SECOND);
});
