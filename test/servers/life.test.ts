import { describe, expect, test } from 'vitest';
import type { Server } from '../../src/domains/compute/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { KEY, serversWorld } from './world.ts';

const world = serversWorld();
const HOURLY = 13_700n;

/** Facts are handed on once no older transaction is open. */
async function swept(server: Server): Promise<Server> {
  await world.sweep();
  return await world.again(server);
}

describe('a deployment', () => {
  test('is active, and paid for its first hour, when SSH answers', async () => {
    const owner = await world.account(20_000n);
    const server = await world.deployed(owner);
    expect(server).toMatchObject({ state: 'provisioning', name: 'my-bot', power: 'on', meter: { price: HOURLY } });
    expect(await world.available(owner)).toBe(6_300n);
    world.clock.advance(MINUTE);
    await world.sweep();
    const active = await world.again(server);
    expect(active).toMatchObject({
      state: 'active',
      activeAt: new Date('2026-03-13T12:01:00.000Z'),
      meter: { periods: 1, paidUntil: new Date('2026-03-13T13:01:00.000Z') },
    });
    expect(world.driver.present.get(active.machineId)).toBe('running');
    expect(await world.available(owner)).toBe(6_300n);
    expect(await world.facts(server.id)).toEqual(['server.deployed', 'server.activated']);
  });

  test('stays provisioning while SSH does not answer, and is in error with its money back in the end', async () => {
    const owner = await world.account(20_000n);
    world.compute = world.over({
      ssh: { connect: async () => Promise.reject(new AppError('conflict', 'Nothing listens.')) },
    });
    const server = await world.deployed(owner);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'provisioning', attempts: 1 });
    for (let n = 0; n < 3; n++) {
      await world.abandon();
      await world.sweep();
    }
    expect(await world.again(server)).toMatchObject({
      state: 'error',
      failure: 'Nothing listens.',
      machineRemoved: true,
    });
    expect(await world.available(owner)).toBe(20_000n);
    expect([...world.driver.present.keys()]).toEqual([]);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    await world.sweep();
    expect(await world.compute.list(world.op(owner), 'hourly')).toEqual([]);
  });

  test('is made anew where the machine of a first attempt can neither be used nor be removed yet', async () => {
    const owner = await world.account(20_000n);
    const remove = world.driver.destroy;
    let stuck: string | undefined;
    world.driver.destroy = async (id) => {
      if (id === stuck) throw new Error('the disk is busy');
      await remove(id);
    };
    world.compute = world.over({
      ssh: {
        connect: async (op, id) => {
          stuck ??= id;
          if (id === stuck) throw new AppError('conflict', 'Nothing listens.');
          return world.ssh.connect(op, id);
        },
      },
    });
    const server = await world.deployed(owner);
    await world.sweep();
    await world.abandon();
    await world.sweep();
    const active = await world.again(server);
    expect(active).toMatchObject({ state: 'active', attempts: 1 });
    expect(active.machineId).not.toBe(stuck);
    expect([...world.driver.present.keys()]).toContain(stuck);
    // It is gone as soon as it can be removed, and nobody has paid for it.
    world.driver.destroy = remove;
    await world.sweep();
    expect([...world.driver.present.keys()]).toEqual([active.machineId]);
    expect(await world.available(owner)).toBe(20_000n - HOURLY);
  });

  test('of several is of all or of none', async () => {
    const owner = await world.account(HOURLY * 2n + 5_000n);
    const orders = ['a', 'b', 'c'].map((name) => ({ name, planId: 'vc2-1c-1gb', regionId: 'fra' }) as const);
    await expect(world.compute.deploy(world.op(owner), orders)).rejects.toMatchObject({ code: 'unaffordable' });
    expect(await world.compute.list(world.op(owner), 'hourly')).toEqual([]);
    expect(await world.available(owner)).toBe(HOURLY * 2n + 5_000n);
    await world.compute.deploy(world.op(owner), orders.slice(0, 2));
    expect(await world.available(owner)).toBe(5_000n);
  });

  test('beyond ten is refused, also when they come at once, and what is in error does not count', async () => {
    const owner = await world.account(10_000_000n);
    const attempts = await Promise.allSettled(Array.from({ length: 14 }, () => world.deployed(owner)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    for (const attempt of attempts)
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'forbidden' });
    const [first] = await world.compute.list(world.op(owner), 'hourly');
    if (first) await world.compute.destroy(world.op(owner), 'hourly', first.id);
    await world.sweep();
    await world.deployed(owner);
  });

  test('carried out once more under its seed is the same, with the same password', async () => {
    const owner = await world.account();
    const op = world.op(owner, Buffer.alloc(32, 3));
    const order = { name: 'x', planId: 'vc2-1c-1gb', regionId: 'fra' } as const;
    const [first] = await world.compute.deploy(op, [order]);
    const [second] = await world.compute.deploy(op, [order]);
    expect(second).toEqual(first);
    expect(first?.rootPassword).toMatch(/^[a-z1-9]{20}$/);
    expect(await world.available(owner)).toBe(1_000_000n - HOURLY);
    const [keyed] = await world.compute.deploy(world.op(owner), [{ ...order, sshKey: KEY }]);
    expect(keyed?.rootPassword).toBeUndefined();
  });

  test('whose maker dies is taken up by another', async () => {
    const owner = await world.account();
    world.compute = world.over({ ssh: { open: () => new Promise(() => {}) } });
    const server = await world.deployed(owner);
    void world.compute.settle(world.system(), server.id);
    await expect.poll(() => world.driver.present.size).toBe(1);
    world.compute = world.over({});
    await world.abandon();
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'active' });
    expect(world.driver.present.size).toBe(1);
  });

  test('that is destroyed before it is there leaves no machine and costs nothing', async () => {
    const owner = await world.account();
    const server = await world.deployed(owner);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    await world.sweep();
    expect(world.driver.present.size).toBe(0);
    expect(await world.available(owner)).toBe(1_000_000n);
  });

  test('has an address of its own while there is one, and gives it back', async () => {
    world.compute = world.over({ addresses: ['203.0.113.7', '203.0.113.8'] });
    const owner = await world.account();
    const [one, two] = [await world.active(owner), await world.active(owner)];
    expect([one.address, two.address]).toEqual(['203.0.113.7', '203.0.113.8']);
    expect(await world.machines.get(world.system(), one.machineId)).toMatchObject({
      standing: { hostname: 'my-bot', address: '203.0.113.7' },
    });
    await expect(world.deployed(owner)).rejects.toMatchObject({ code: 'at_capacity' });
    await world.compute.destroy(world.op(owner), 'hourly', one.id);
    await expect(world.deployed(owner)).rejects.toMatchObject({ code: 'at_capacity' });
    await world.sweep();
    expect((await world.deployed(owner)).address).toBe('203.0.113.7');
  });
});

describe('a server', () => {
  test('of another account does not exist', async () => {
    const [owner, other] = [await world.account(), await world.account()];
    const server = await world.active(owner);
    const { compute } = world;
    for (const verb of [
      compute.get,
      compute.destroy,
      compute.reboot,
      compute.powerOff,
      compute.powerOn,
      compute.console,
    ])
      await expect(verb(world.op(other), 'hourly', server.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(compute.get(world.op(owner), 'monthly', server.id)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('is destroyed once, and its machine goes', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    await expect(world.compute.destroy(world.op(owner), 'hourly', server.id)).rejects.toMatchObject({
      code: 'conflict',
    });
    expect(await world.again(server)).toMatchObject({ state: 'destroying' });
    await world.sweep();
    expect(world.driver.present.size).toBe(0);
    await expect(world.again(server)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('is switched off and on and rebooted, and paid for all the while', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    const { compute } = world;
    const machine = () => world.driver.present.get(server.machineId);
    expect(await compute.powerOff(world.op(owner), 'hourly', server.id)).toMatchObject({
      power: 'off',
      moving: undefined,
    });
    expect(machine()).toBe('remains');
    await expect(compute.reboot(world.op(owner), 'hourly', server.id)).rejects.toMatchObject({ code: 'conflict' });
    world.clock.advance(HOUR);
    await world.sweep();
    expect(machine()).toBe('remains');
    expect(await world.available(owner)).toBe(1_000_000n - 2n * HOURLY);
    expect(await compute.powerOn(world.op(owner), 'hourly', server.id)).toMatchObject({ power: 'on' });
    expect(machine()).toBe('running');
    world.driver.asked.length = 0;
    await compute.reboot(world.op(owner), 'hourly', server.id);
    expect(world.driver.asked).toEqual([`stop ${server.machineId}`, `boot ${server.machineId}`]);
    expect(world.ssh.asked.at(-1)).toBe(`settle ${server.machineId}`);
  });

  test('is off when its owner is answered, also where somebody else was quicker to switch it off', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    await world.claimedByAnother(server);
    const answered = world.compute.powerOff(world.op(owner), 'hourly', server.id);
    await expect.poll(() => world.again(server)).toMatchObject({ moving: 'stopping' });
    await world.sweep();
    await world.letGo(server);
    await world.compute.settle(world.system(), server.id);
    expect(await answered).toMatchObject({ power: 'off', moving: undefined });
  });

  test('whose machine is gone after the host went down is started again from its disk, and goes on', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    world.driver.present.set(server.machineId, 'remains');
    world.ssh.asked.length = 0;
    await expect.poll(() => swept(server).then(() => world.ssh.asked)).toEqual([`settle ${server.machineId}`]);
    expect(world.driver.present.get(server.machineId)).toBe('running');
    expect(await world.again(server)).toMatchObject({ state: 'active', moving: undefined });
    expect(await world.facts(server.machineId)).toContain('machine.recovered');
  });

  test('whose disk is gone too is in error, and its hour is given back', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    world.driver.present.delete(server.machineId);
    await expect.poll(() => swept(server)).toMatchObject({ state: 'error' });
    expect(await world.available(owner)).toBe(1_000_000n);
  });

  test('outlives an outage of a year that is paid', async () => {
    const owner = await world.account(1_000_000_000n);
    const server = await world.active(owner);
    world.clock.advance(365 * DAY);
    await world.sweep();
    expect(await world.again(server)).toMatchObject({ state: 'active', meter: { periods: 365 * 24 + 1 } });
    expect(world.driver.present.get(server.machineId)).toBe('running');
  });

  test('takes another key while it runs, and no bad one', async () => {
    const owner = await world.account();
    const server = await world.active(owner);
    const rotate = (key: string) =>
      world.compute.rotateKey(world.op(owner), 'hourly', server.id, { key, field: 'sshKey' });
    await expect(rotate('ssh-rsa AAAA')).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/^sshKey/),
    });
    expect(await rotate(KEY)).toMatchObject({ authorizedKeys: [KEY], password: false });
    await world.compute.powerOff(world.op(owner), 'hourly', server.id);
    await expect(rotate(KEY)).rejects.toMatchObject({ code: 'conflict' });
  });
});

test('a server that is up stays up when something goes wrong right after that', async () => {
  const owner = await world.account();
  const server = await world.deployed(owner);
  world.compute = world.over({ ssh: { settle: async () => Promise.reject(new Error('the connection was lost')) } });
  await world.compute.settle(world.system(), server.id);
  const active = await world.again(server);
  expect(active).toMatchObject({ state: 'active' });
  expect(world.driver.present.get(active.machineId)).toBe('running');
  expect(await world.available(owner)).toBe(1_000_000n - HOURLY);
});
