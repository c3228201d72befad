import { describe, expect, test } from 'vitest';
import { monthlyPrice, PLANS } from '../../src/domains/compute/index.ts';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { KEY, serversWorld } from './world.ts';

const world = serversWorld();
const HOURLY = 13_700n;

test('hourly prices are those of a month of 730 hours to four digits', () => {
  expect(PLANS.map(({ id, hourly }) => [id, hourly])).toEqual([
    ['vc2-1c-1gb', 13_700n],
    ['vc2-1c-2gb', 24_700n],
    ['vc2-2c-4gb', 46_600n],
    ['vc2-4c-8gb', 84_900n],
    ['vc2-6c-16gb', 164_400n],
  ]);
});

test('a computer of the agents contract costs what its parts do', () => {
  expect(monthlyPrice({ vcpus: 1, memoryMb: 1_024, diskGb: 10 })).toBe(5_000_000n);
  expect(monthlyPrice({ vcpus: 4, memoryMb: 8_192, diskGb: 50 })).toBe(36_000_000n);
  expect(monthlyPrice({ vcpus: 2, memoryMb: 1_500, diskGb: 11 })).toBe(11_000_000n);
});

describe('an hour', () => {
  test('is paid when it begins, at the price of the deployment, to the micro-dollar', async () => {
    const owner = await world.account(10_000_000n);
    await world.active(owner);
    for (const [ms, hours] of [
      [HOUR - 1, 1n],
      [1, 2n],
      [HOUR - 1, 2n],
      [1, 3n],
      [10 * HOUR, 13n],
    ] as const) {
      world.clock.advance(ms);
      await world.sweep();
      expect(await world.available(owner)).toBe(10_000_000n - hours * HOURLY);
    }
  });

  test('in which it is destroyed is the last, also where nobody had looked for a while', async () => {
    const owner = await world.account(10_000_000n);
    const server = await world.active(owner);
    world.clock.advance(5 * HOUR + 10 * MINUTE);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    world.clock.advance(DAY);
    await world.sweep();
    expect(await world.available(owner)).toBe(10_000_000n - 6n * HOURLY);
  });

  test('that cannot be paid suspends it: it is off, its disk is kept, and it costs nothing', async () => {
    const owner = await world.account(HOURLY * 3n + 100n);
    const server = await world.active(owner);
    world.clock.advance(5 * HOUR);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({
      state: 'suspended',
      suspendedAt: world.clock.now(),
      moving: undefined,
    });
    expect(world.driver.present.get(server.machineId)).toBe('remains');
    expect(await world.available(owner)).toBe(100n);
    await expect(world.compute.reboot(world.op(owner), 'hourly', server.id)).rejects.toMatchObject({
      code: 'conflict',
    });
    world.clock.advance(6 * DAY);
    await world.sweep();
    await world.pay(owner, HOURLY - 101n);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'suspended' });
    await world.pay(owner, 1n);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'active', suspendedAt: undefined, meter: { periods: 4 } });
    expect(world.driver.present.get(server.machineId)).toBe('running');
    expect(await world.available(owner)).toBe(0n);
    expect(await world.facts(server.id)).toEqual([
      'server.deployed',
      'server.activated',
      'server.suspended',
      'server.resumed',
    ]);
  });

  test('never paid in a week ends it', async () => {
    const owner = await world.account(HOURLY);
    const server = await world.active(owner);
    world.clock.advance(HOUR);
    await world.sweep();
    world.clock.advance(7 * DAY - 1);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'suspended' });
    world.clock.advance(1);
    await world.sweep();
    await expect(world.again(server)).rejects.toMatchObject({ code: 'not_found' });
    expect(world.driver.present.size).toBe(0);
  });

  test('is paid once, whichever way the clock jumps', async () => {
    const owner = await world.account(10_000_000n);
    const server = await world.active(owner);
    const charged = async (ms: number) => {
      world.clock.advance(ms);
      await world.sweep();
      return (10_000_000n - (await world.available(owner))) / HOURLY;
    };
    expect(await charged(5 * HOUR)).toBe(6n);
    expect(await charged(-4 * HOUR)).toBe(6n);
    expect(await charged(4 * HOUR + MINUTE)).toBe(6n);
    expect(await charged(HOUR)).toBe(7n);
    expect(await charged(-10 * DAY)).toBe(7n);
    // Before its own deployment, as far as this clock knows: the hours that are paid are, and none is owed.
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    expect(await charged(20 * DAY)).toBe(7n);
    expect(await world.available(owner)).toBe(10_000_000n - 7n * HOURLY);
  });

  test('of several with too little for all is paid for those whose hour began first', async () => {
    const owner = await world.account(HOURLY * 5n);
    const first = await world.active(owner);
    world.clock.advance(MINUTE);
    const second = await world.active(owner);
    world.clock.advance(HOUR);
    await world.sweep();
    world.clock.advance(HOUR);
    await world.sweep();
    expect([(await world.again(first)).state, (await world.again(second)).state]).toEqual(['active', 'suspended']);
    expect(await world.available(owner)).toBe(0n);
  });

  test('is paid once by many who bill at once', async () => {
    const owner = await world.account(10_000_000n);
    for (let n = 0; n < 5; n++) await world.deployed(owner);
    await world.sweep();
    world.clock.advance(3 * HOUR);
    await Promise.all(Array.from({ length: 6 }, () => world.compute.tick(world.system())));
    await world.sweep();
    expect(await world.available(owner)).toBe(10_000_000n - 5n * 4n * HOURLY);
  });

  test('of one that cannot be billed stops no other', async () => {
    const [owner, other] = [await world.account(10_000_000n), await world.account(10_000_000n)];
    const [broken] = [await world.active(owner), await world.active(other)];
    await world.database.db.query(`update servers set name = repeat('x', 3000) where id = $1`, [broken.id]);
    world.clock.advance(HOUR);
    await world.compute.tick(world.system());
    expect(await world.available(other)).toBe(10_000_000n - 2n * HOURLY);
    expect(await world.available(owner)).toBe(10_000_000n - HOURLY);
  });
});

describe('thirty days of an instance', () => {
  const order = { name: 'my-server', sshKey: KEY, limits: { vcpus: 1, memoryMb: 1_024, diskGb: 10 } };

  test('are paid at once, and thirty more when they begin', async () => {
    const owner = await world.account(12_000_000n);
    const instance = await world.compute.createInstance(world.op(owner), order);
    expect(instance).toMatchObject({
      state: 'active',
      login: 'agent',
      meter: { paidUntil: new Date('2026-04-12T12:00:00.000Z') },
    });
    expect(await world.available(owner)).toBe(7_000_000n);
    world.clock.advance(30 * DAY);
    await world.sweep();
    expect(await world.available(owner)).toBe(2_000_000n);
    world.clock.advance(30 * DAY);
    await world.sweep();
    expect(await world.again(instance)).toMatchObject({ state: 'suspended' });
    expect(await world.available(owner)).toBe(2_000_000n);
    expect((await world.history(owner)).map(({ type }) => type)).toEqual([
      'deposit',
      'compute_charge',
      'compute_charge',
    ]);
  });

  test('that are not there make none, and five are the most', async () => {
    const poor = await world.account(4_999_999n);
    await expect(world.compute.createInstance(world.op(poor), order)).rejects.toMatchObject({ code: 'unaffordable' });
    const owner = await world.account(100_000_000n);
    for (let n = 0; n < 5; n++) await world.compute.createInstance(world.op(owner), { ...order, slug: `slug-${n}` });
    await expect(world.compute.createInstance(world.op(owner), order)).rejects.toMatchObject({ code: 'conflict' });
    const [first] = await world.compute.list(world.op(owner), 'monthly');
    if (first) await world.compute.destroy(world.op(owner), 'monthly', first.id);
    expect(await world.compute.list(world.op(owner), 'monthly')).toHaveLength(4);
    await world.sweep();
    await expect(world.compute.createInstance(world.op(owner), { ...order, slug: 'slug-1' })).rejects.toMatchObject({
      message: 'This slug is taken.',
    });
    await world.compute.createInstance(world.op(owner), { ...order, slug: 'slug-0' });
  });

  test('are given back where its machine cannot be made', async () => {
    const owner = await world.account(5_000_000n);
    world.compute = world.over({ machines: { start: async () => Promise.reject(new Error('no')) } });
    const made = world.compute.createInstance(world.op(owner), order);
    await expect(made).rejects.toMatchObject({ code: 'at_capacity' });
    expect(await world.available(owner)).toBe(5_000_000n);
    expect(await world.compute.list(world.op(owner), 'monthly')).toEqual([]);
  });

  test('under an idempotency seed are asked for again after a failure of ours, and then once', async () => {
    const owner = await world.account(5_000_000n);
    const op = world.op(owner, Buffer.alloc(32, 1));
    world.compute = world.over({ machines: { start: async () => Promise.reject(new Error('no')) } });
    for (let tries = 0; tries < 2; tries++) {
      await expect(world.compute.createInstance(op, order)).rejects.toMatchObject({ code: 'at_capacity' });
      await world.sweep();
    }
    world.compute = world.over({});
    const made = await world.compute.createInstance(op, order);
    expect(made.state).toBe('active');
    expect((await world.compute.createInstance(op, order)).id).toBe(made.id);
    expect(await world.available(owner)).toBe(0n);
    await world.compute.destroy(world.op(owner), 'monthly', made.id);
    await expect(world.compute.createInstance(op, order)).rejects.toMatchObject({ code: 'conflict' });
  });
});
