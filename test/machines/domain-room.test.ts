import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import { MINUTE } from '../../src/kernel/time.ts';
import type { ListedMachines } from '../fakes/driver.ts';
import { SMALL } from './host.ts';
import { listedWorld } from './listed-world.ts';

const GIB = 2 ** 30;
const FULL = { code: 'at_capacity', retryAfterSeconds: expect.any(Number) };

const world = listedWorld();
const { op, started } = world;
let machines: Machines;
let driver: ListedMachines;

beforeEach(() => {
  ({ machines, driver } = world);
});

const stateOf = async (id: Parameters<Machines['get']>[1]) => (await machines.get(op(), id)).state;

describe('the disk', () => {
  test('below the reserve no machine, snapshot or copy begins, and what is there goes on', async () => {
    const id = await started();
    const { id: copy } = await machines.snapshot(op(), id);
    const stopped = await started();
    await machines.stop(op(), stopped);
    driver.host.freeDiskGb = 4.9;
    await expect(started()).rejects.toMatchObject(FULL);
    await expect(started({ snapshot: copy })).rejects.toMatchObject(FULL);
    await expect(machines.snapshot(op(), id)).rejects.toMatchObject(FULL);
    await expect(machines.boot(op(), stopped)).rejects.toMatchObject(FULL);
    expect(await stateOf(id)).toBe('running');
    expect(driver.copies.size).toBe(1);
    driver.host.freeDiskGb = 6;
    await machines.boot(op(), stopped);
    await started({ snapshot: copy });
  });

  test('a copy begins only where it can be made whole above the reserve, with all that are being made', async () => {
    const id = await started({ limits: { ...SMALL, diskGb: 40 } });
    driver.filled.set(id, 20 * GIB);
    driver.host.freeDiskGb = 40;
    let finish: (() => void) | undefined;
    const slow = world.over({
      snapshot: async () => {
        await new Promise<void>((resolve) => (finish = resolve));
        return { bytes: 20 * GIB };
      },
    });
    const other = await started({ limits: { ...SMALL, diskGb: 40 } });
    driver.filled.set(other, 20 * GIB);
    const first = slow.snapshot(op(), id);
    await expect.poll(() => finish).toBeDefined();
    await expect(machines.snapshot(op(), other)).rejects.toMatchObject(FULL);
    finish?.();
    await first;
    await machines.snapshot(op(), other);
  });

  test('what is promised together is at most three times what there is above the reserve', async () => {
    for (let each = 0; each < 7; each++) await started({ limits: { ...SMALL, diskGb: 40 } });
    await expect(started({ limits: { ...SMALL, diskGb: 40 } })).rejects.toMatchObject(FULL);
  });

  test('where it runs short, machines that go on filling it are frozen whole, and go on when there is room', async () => {
    const [filling, quiet] = [await started(), await started()];
    driver.host.freeDiskGb = 2;
    let bytes = GIB;
    const filledBytes = async (id: string) => (id === filling ? (bytes += 1_000_000) : GIB);
    const short = world.over({ filledBytes });
    expect(await short.holdBack(op())).toBe(1);
    expect(await stateOf(filling)).toBe('paused');
    expect(await stateOf(quiet)).toBe('running');
    expect((await world.facts(filling)).at(-1)?.type).toBe('machine.held_back');
    expect(await short.holdBack(op())).toBe(0);
    await expect(machines.resume(op(), filling)).rejects.toMatchObject(FULL);
    driver.host.freeDiskGb = 4;
    expect(await machines.holdBack(op())).toBe(0);
    driver.host.freeDiskGb = 6;
    expect(await machines.holdBack(op())).toBe(1);
    expect(await stateOf(filling)).toBe('running');
  });

  test('one that was frozen for the disk and is then paused by its owner stays so', async () => {
    const id = await started();
    driver.host.freeDiskGb = 2;
    let bytes = GIB;
    await world.over({ filledBytes: async () => (bytes += 1_000_000) }).holdBack(op());
    await machines.pause(op(), id);
    driver.host.freeDiskGb = 50;
    expect(await machines.holdBack(op())).toBe(0);
    expect(await stateOf(id)).toBe('paused');
  });

  test('one that its owner pauses while others are let go on stays so', async () => {
    const ids = [await started(), await started()];
    driver.host.freeDiskGb = 2;
    let bytes = GIB;
    await world.over({ filledBytes: async () => (bytes += 1_000_000) }).holdBack(op());
    driver.host.freeDiskGb = 50;
    const resume = async (id: (typeof ids)[number]) => {
      for (const other of ids.filter((each) => each !== id)) await machines.pause(op(), other);
      await driver.resume(id);
    };
    expect(await world.over({ resume }).holdBack(op())).toBe(1);
    expect((await Promise.all(ids.map(stateOf))).toSorted()).toEqual(['paused', 'running']);
  });

  test('a computer that was frozen for the disk starts again when the host does', async () => {
    const id = await started({ standing: { hostname: 'alpha', address: undefined } });
    driver.host.freeDiskGb = 2;
    let bytes = GIB;
    await world.over({ filledBytes: async () => (bytes += 1_000_000) }).holdBack(op());
    driver.present.set(id, 'remains');
    await machines.sweep(op());
    expect(await machines.get(op(), id)).toMatchObject({ state: 'running', heldBack: false });
    expect(driver.present.get(id)).toBe('running');
    expect((await world.facts(id)).at(-1)?.type).toBe('machine.recovered');
  });

  test('whoever dies while it freezes one leaves it running, for the next to decide', async () => {
    const id = await started();
    await world.left(id, 'holding back');
    await driver.pause(id);
    await machines.sweep(op());
    expect(await stateOf(id)).toBe('running');
    expect(driver.present.get(id)).toBe('running');
  });
});

describe('memory', () => {
  const large = { ...SMALL, memoryMb: 8_192 };

  test('a frozen machine counts with what it holds, in full, and one that is stopped with nothing', async () => {
    const frozen = await Promise.all([1, 2, 3, 4, 5, 6].map(() => started({ limits: large })));
    await expect(started({ limits: large })).rejects.toMatchObject(FULL);
    for (const id of frozen) driver.holds.set(id, GIB);
    await machines.pause(op(), frozen[0]!);
    // 15 GiB are left for those that run: three times that less the five that do is 5 GiB.
    await expect(started({ limits: large })).rejects.toMatchObject(FULL);
    await started({ limits: { ...SMALL, memoryMb: 5_120 } });
    await expect(machines.resume(op(), frozen[0]!)).rejects.toMatchObject(FULL);
    await machines.stop(op(), frozen[1]!);
    await machines.resume(op(), frozen[0]!, { leaseMs: MINUTE });
  });

  test('those that wait in the pool make way for one that is resumed', async () => {
    const id = await started({ limits: large });
    for (let each = 0; each < 5; each++) await started({ limits: large });
    await machines.pause(op(), id);
    await world.over({}, { poolSize: 1 }).refillPool(op());
    expect(await machines.resume(op(), id)).toMatchObject({ state: 'running' });
    expect((await machines.list(op())).map(({ state }) => state)).not.toContain('pooled');
  });

  test('frozen machines together hold at most half of the memory', async () => {
    const ids = [await started({ limits: large }), await started({ limits: large })];
    for (const id of ids) driver.holds.set(id, 5 * GIB);
    expect(await machines.mayFreeze(op(), ids[0]!)).toBe(true);
    await machines.pause(op(), ids[0]!);
    expect(await machines.mayFreeze(op(), ids[1]!)).toBe(false);
  });
});

describe('snapshots', () => {
  test('of one account fill so much together and no more', async () => {
    const id = await started({ limits: { ...SMALL, diskGb: 40 } });
    driver.filled.set(id, 26 * GIB);
    await world.over({ snapshot: async () => ({ bytes: 26 * GIB }) }).snapshot(op(), id);
    await expect(machines.snapshot(op(), id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('50 GB'),
    });
  });
});
