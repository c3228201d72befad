import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/kernel/errors.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

/** On a busy host things take their time. */
const PATIENT = { timeout: 20_000 };

const world = sandboxWorld();
const { clock, op, started, sweep, account, facts } = world;
const stateOf = async () => (await world.driver.list()).map(({ state }) => state);
const at = (ms: number) => new Date(clock.at.getTime() + ms);
const lasting = { onTimeout: 'pause', keepMemory: true, autoResume: true } as const;

describe('pausing', () => {
  test('freezes the machine with its memory, or keeps its disk alone, and time stands still', async () => {
    const owner = await account();
    const { id, startedAt } = await started(owner, { timeoutMs: HOUR });
    clock.advance(20 * MINUTE);
    expect(await world.sandboxes.pause(op(owner), id, { keepMemory: true })).toMatchObject({
      state: 'paused',
      keptMemory: true,
      pausedBy: 'request',
      ready: true,
    });
    expect(await stateOf()).toEqual(['paused']);
    clock.advance(9 * HOUR);
    await sweep();
    expect(await world.sandboxes.keepAlive(op(owner), id, undefined)).toMatchObject({
      resumed: true,
      sandbox: { state: 'running', startedAt, endAt: at(40 * MINUTE) },
    });
    expect(await stateOf()).toEqual(['running']);
    await world.sandboxes.pause(op(owner), id, { keepMemory: false });
    expect(await stateOf()).toEqual(['remains']);
    expect(await world.sandboxes.keepAlive(op(owner), id, 2 * HOUR)).toMatchObject({
      resumed: true,
      sandbox: { state: 'running', endAt: at(2 * HOUR) },
    });
    expect(await stateOf()).toEqual(['running']);
    expect(await facts(id)).toEqual([
      'sandbox.started',
      'sandbox.paused',
      'sandbox.resumed',
      'sandbox.paused',
      'sandbox.resumed',
    ]);
  });

  test('twice is a conflict, and so is what needs it to run', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    const conflict = { code: 'conflict' };
    await expect(world.sandboxes.pause(op(owner), id, { keepMemory: true })).rejects.toMatchObject(conflict);
    await expect(world.sandboxes.setTimeout(op(owner), id, MINUTE)).rejects.toMatchObject(conflict);
    await expect(
      world.sandboxes.setNetwork(op(owner), id, {
        allowOut: [],
        denyOut: [],
        internet: false,
        headers: {},
        egressProxy: undefined,
      }),
    ).rejects.toMatchObject(conflict);
    await world.sandboxes.destroy(op(owner), id);
    expect(await stateOf()).toEqual([]);
  });

  test('of two at once one pauses it, and of two that wake it one pays', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const pauses = await Promise.allSettled(
      [1, 2, 3].map(() => world.sandboxes.pause(op(owner), id, { keepMemory: true })),
    );
    expect(pauses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const wakes = await Promise.all([1, 2, 3].map(() => world.sandboxes.keepAlive(op(owner), id, HOUR)));
    expect(wakes.filter(({ resumed }) => resumed)).toHaveLength(1);
    expect(await stateOf()).toEqual(['running']);
    expect((await world.history(owner)).filter(({ type }) => type === 'sandbox_charge')).toHaveLength(2);
  });

  test('a frozen one can be started from its disk instead', async () => {
    const owner = await account();
    const { id, machineId } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    await world.sandboxes.keepAlive(op(owner), id, undefined, { keepMemory: false });
    expect(world.driver.asked.slice(-3)).toEqual([`pause ${machineId}`, `stop ${machineId}`, `boot ${machineId}`]);
  });

  test('one that is started from its disk after months lives on as any other', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: false });
    clock.advance(60 * DAY);
    await world.sandboxes.keepAlive(op(owner), id, undefined);
    for (let minutes = 0; minutes < 3; minutes++) {
      clock.advance(MINUTE);
      await sweep();
    }
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running' });
  });

  test('what cannot be woken rests as before, and nothing is paid', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: HOUR });
    await world.sandboxes.pause(op(owner), id, { keepMemory: false });
    const before = await world.available(owner);
    const full = world.over({ machines: { boot: () => Promise.reject(new AppError('at_capacity', 'Full')) } });
    await expect(full.keepAlive(op(owner), id, HOUR)).rejects.toMatchObject({ code: 'at_capacity' });
    expect(await world.available(owner)).toBe(before);
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused', pausedBy: 'request' });
    await world.abandon();
    await sweep();
    expect(await world.sandboxes.keepAlive(op(owner), id, HOUR)).toMatchObject({ resumed: true });
  });
});

describe('at its timeout', () => {
  test('one that pauses then is woken by traffic, for as long as it was asked to live', async () => {
    const owner = await account();
    const sandbox = await started(owner, { timeoutMs: 10 * MINUTE, lifecycle: lasting });
    clock.advance(10 * MINUTE);
    await sweep();
    const paused = await world.sandboxes.get(op(owner), sandbox.id);
    expect(paused).toMatchObject({ state: 'paused', pausedBy: 'timeout', keptMemory: true });
    clock.advance(HOUR);
    const awake = await Promise.all([1, 2, 3].map(() => world.sandboxes.awake(paused)));
    for (const one of awake) expect(one).toMatchObject({ state: 'running', ready: true, endAt: at(10 * MINUTE) });
    expect(await stateOf()).toEqual(['running']);
    expect((await facts(sandbox.id)).filter((type) => type === 'sandbox.resumed')).toHaveLength(1);
  });

  test.each([
    ['that is not to be woken', { ...lasting, autoResume: false }],
    ['that keeps its disk alone', { onTimeout: 'pause', keepMemory: false, autoResume: false } as const],
  ])('one %s stays paused whatever asks for it', async (_what, lifecycle) => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: MINUTE, lifecycle });
    clock.advance(MINUTE);
    await sweep();
    const paused = await world.sandboxes.get(op(owner), id);
    expect(await world.sandboxes.awake(paused)).toMatchObject({ state: 'paused' });
  });

  test('one that its owner paused is not woken by traffic', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: HOUR, lifecycle: lasting });
    const paused = await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    expect(await world.sandboxes.awake(paused)).toMatchObject({ state: 'paused' });
  });

  test('traffic wakes nothing that cannot be paid', async () => {
    const owner = await account(1_000n);
    const { id } = await started(owner, { timeoutMs: MINUTE, lifecycle: lasting });
    clock.advance(MINUTE);
    await sweep();
    expect(await world.sandboxes.awake(await world.sandboxes.get(op(owner), id))).toMatchObject({ state: 'paused' });
  });

  test('traffic waits for what is just being paused, and finds what is gone gone', async () => {
    const owner = await account();
    const { id } = await started(owner, { timeoutMs: MINUTE, lifecycle: lasting });
    clock.advance(MINUTE);
    const ticking = world.sandboxes.tick(world.system());
    const seen = await world.sandboxes.get(op(owner), id);
    await ticking;
    expect((await world.sandboxes.awake(seen)).ready).toBe(true);
    const running = await world.sandboxes.get(op(owner), id);
    await world.sandboxes.destroy(op(owner), id);
    expect(await world.sandboxes.awake({ ...running, ready: false })).toMatchObject({ state: 'destroyed' });
  });
});

describe('after a crash', () => {
  const never = () => new Promise<never>(() => {});

  test('half-way through a pause, the sweep pauses it', async () => {
    const owner = await account();
    const { id } = await started(owner);
    clock.advance(10 * SECOND);
    void world.over({ machines: { pause: never } }).pause(op(owner), id, { keepMemory: true });
    await expect.poll(async () => (await world.sandboxes.get(op(owner), id)).state, PATIENT).toBe('paused');
    const paid = await world.available(owner);
    await sweep();
    expect(await stateOf()).toEqual(['running']); // whoever is at it may still be
    await world.abandon();
    await sweep();
    expect(await stateOf()).toEqual(['paused']);
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused', ready: true });
    expect(await world.available(owner)).toBe(paid);
  });

  test('whoever needs it does not wait for the sweep', async () => {
    const owner = await account();
    const { id } = await started(owner);
    void world.over({ machines: { pause: never } }).pause(op(owner), id, { keepMemory: true });
    await expect.poll(async () => (await world.sandboxes.get(op(owner), id)).state, PATIENT).toBe('paused');
    expect(await world.sandboxes.keepAlive(op(owner), id, HOUR)).toMatchObject({ resumed: true });
    expect(await stateOf()).toEqual(['running']);
  });

  test('half-way through a wake, the sweep wakes it', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    void world.over({ machines: { resume: never } }).keepAlive(op(owner), id, HOUR);
    await expect.poll(async () => (await world.sandboxes.get(op(owner), id)).state, PATIENT).toBe('running');
    await world.abandon();
    await sweep();
    expect(await stateOf()).toEqual(['running']);
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'running', ready: true });
  });
});
