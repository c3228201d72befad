import { describe, expect, test } from 'vitest';
import type { AccountId } from '../../src/kernel/ids.ts';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

const GIB = 2 ** 30;
const FULL = { code: 'at_capacity' };
const MUCH_MONEY = 100_000_000n;
const large = { vcpus: 4, memoryMb: 8_192, diskGb: 1 };
const wide = { vcpus: 1, memoryMb: 512, diskGb: 40 };
const pausing = { onTimeout: 'pause', keepMemory: true, autoResume: false } as const;

const world = sandboxWorld();
const { clock, op, started, sweep, account, facts } = world;

/** On a host that has more than any account may have of it. */
const roomy = () => Object.assign(world.driver.host, { memoryMb: 1e6, diskGb: 1e4, freeDiskGb: 1e4, diskSizeGb: 1e4 });

describe('what rests costs nothing, and so there is little of it', () => {
  test('the memory of an account’s paused sandboxes is limited; what is paused without memory is not', async () => {
    roomy();
    const owner = await account(MUCH_MONEY);
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => started(owner, { limits: large })));
    for (const { id } of [first!, second!]) await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    await expect(world.sandboxes.pause(op(owner), third!.id, { keepMemory: true })).rejects.toMatchObject({
      code: 'rate_limited',
      message: expect.stringContaining('16384 MB'),
    });
    expect(await world.sandboxes.get(op(owner), third!.id)).toMatchObject({ state: 'running' });
    await world.sandboxes.pause(op(owner), third!.id, { keepMemory: false });
    const stranger = await account(MUCH_MONEY);
    const theirs = await started(stranger, { limits: large });
    await world.sandboxes.pause(op(stranger), theirs.id, { keepMemory: true });
  });

  test('two pauses of which one is too many: one is refused', async () => {
    roomy();
    const owner = await account(MUCH_MONEY);
    const made = await Promise.all([1, 2, 3].map(() => started(owner, { limits: large })));
    const ends = await Promise.allSettled(
      made.map(({ id }) => world.sandboxes.pause(op(owner), id, { keepMemory: true })),
    );
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });

  test('so is their disk, and who has more of it paused makes nothing new', async () => {
    roomy();
    const owner = await account(MUCH_MONEY);
    const made = await Promise.all(
      [1, 2, 3].map(() => started(owner, { limits: wide, timeoutMs: HOUR, lifecycle: pausing })),
    );
    for (const { id } of made.slice(0, 2)) await world.sandboxes.pause(op(owner), id, { keepMemory: false });
    await expect(world.sandboxes.pause(op(owner), made[2]!.id, { keepMemory: false })).rejects.toMatchObject({
      code: 'rate_limited',
      message: expect.stringContaining('100 GB'),
    });
    await started(owner);
    // At its timeout it is paused all the same: nothing is lost.
    clock.advance(HOUR);
    await sweep();
    expect(await world.sandboxes.get(op(owner), made[2]!.id)).toMatchObject({ state: 'paused' });
    await expect(started(owner)).rejects.toMatchObject({ code: 'rate_limited' });
    await world.sandboxes.destroy(op(owner), made[0]!.id);
    await started(owner);
  });

  test('at its timeout one for whose memory there is no room keeps its disk, and that is told', async () => {
    roomy();
    const owner = await account(MUCH_MONEY);
    for (const { id } of [await started(owner, { limits: large }), await started(owner, { limits: large })])
      await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    const { id } = await started(owner, { timeoutMs: MINUTE, lifecycle: pausing });
    clock.advance(MINUTE);
    await sweep();
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused', keptMemory: false });
    const [told] = (await world.sandboxes.history(op(owner), id, { order: 'desc', limit: 1 })).map(({ data }) => data);
    expect(told).toMatchObject({ by: 'timeout', keptMemory: false, reason: 'no room for its memory' });
  });

  test('a host whose frozen machines hold half of its memory freezes no more', async () => {
    const owner = await account(MUCH_MONEY);
    const [first, second] = [await started(owner), await started(owner)];
    for (const { machineId } of [first, second]) world.driver.holds.set(machineId, 5 * GIB);
    await world.sandboxes.pause(op(owner), first.id, { keepMemory: true });
    await expect(world.sandboxes.pause(op(owner), second.id, { keepMemory: true })).rejects.toMatchObject(FULL);
    await world.sandboxes.pause(op(owner), second.id, { keepMemory: false });
  });

  test('after 30 days it is ended, and its machine is removed', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    clock.advance(30 * DAY - HOUR);
    await sweep();
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused' });
    clock.advance(HOUR);
    await sweep();
    await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await facts(id)).toEqual(['sandbox.started', 'sandbox.paused', 'sandbox.destroyed']);
    expect(world.driver.present.size).toBe(0);
  });
});

describe('a sandbox whose machine is held back because the host’s disk is short', () => {
  const filledUp = async (freeDiskGb: number) => {
    world.driver.host.freeDiskGb = freeDiskGb;
    await world.machines.holdBack(world.system());
  };
  /** A neighbour's transaction may hold back for a moment what is told. */
  const becomes = async (owner: AccountId, id: string, wanted: object) => {
    const look = async () => {
      await world.abandon();
      await sweep();
      return world.sandboxes.get(op(owner), id);
    };
    await expect.poll(look, { timeout: 20_000 }).toMatchObject(wanted);
  };
  const growing = () => {
    let bytes = GIB;
    world.driver.filledBytes = async () => (bytes += 1_000_000);
  };

  test('is paused and pays nothing, and runs on with its processes when there is room', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: HOUR });
    growing();
    clock.advance(30_000);
    await filledUp(1);
    await becomes(owner, id, { state: 'paused', pausedBy: 'host', keptMemory: true });
    const paid = await world.available(owner);
    clock.advance(2 * HOUR);
    await sweep();
    expect(await world.available(owner)).toBe(paid);
    await expect(world.sandboxes.keepAlive(op(owner), id, undefined)).rejects.toMatchObject(FULL);
    expect(await world.available(owner)).toBe(paid);
    await filledUp(50);
    await becomes(owner, id, { state: 'running', endAt: new Date(clock.at.getTime() + HOUR - 30_000) });
    expect(await world.available(owner)).toBeLessThan(paid);
    expect([...world.driver.present.values()]).toEqual(['running']);
  });

  test('stays paused where its next minute cannot be paid by then', async () => {
    const owner = await account(1_000n);
    const { id } = await started(owner);
    growing();
    clock.advance(59_000);
    await filledUp(1);
    await becomes(owner, id, { state: 'paused', pausedBy: 'host' });
    await filledUp(50);
    await becomes(owner, id, { state: 'paused', pausedBy: 'money', ready: true });
    expect([...world.driver.present.values()]).toEqual(['paused']);
  });
});
