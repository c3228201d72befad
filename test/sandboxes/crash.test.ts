import { describe, expect, test } from 'vitest';
import type { Machines } from '../../src/domains/machines/index.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { sandboxWorld } from './world.ts';

/** On a busy host things take their time. */
const PATIENT = { timeout: 20_000 };

const world = sandboxWorld();
const { clock, op, started, sweep, account } = world;
const never = () => new Promise<never>(() => {});
const rows = () => world.database.db.query<{ state: string }>(`select state from sandboxes`);
const machines = async () => (await world.driver.list()).map(({ state }) => state);

/** Nothing of it is left: no row, no machine, no money. */
async function expectNothing(owner: Parameters<typeof world.available>[0]): Promise<void> {
  expect(await rows()).toEqual([]);
  expect(await machines()).toEqual([]);
  expect(await world.available(owner)).toBe(1_000_000n);
}

describe('a create that dies', () => {
  test('before its machine is made leaves a row, and the sweep removes that', async () => {
    const owner = await account();
    void world.over({ machines: { start: never } }).create(op(owner), { origin: 'agents' });
    await expect.poll(rows, PATIENT).toEqual([{ state: 'starting' }]);
    expect((await world.sandboxes.list(op(owner), { order: 'asc', limit: 10 })).rows).toEqual([]);
    await sweep();
    expect(await rows()).toHaveLength(1);
    await world.abandon();
    await sweep();
    await expectNothing(owner);
  });

  test.each([
    ['of its own', { limits: { vcpus: 2, memoryMb: 512, diskGb: 1 } }],
    ['of the usual kind', {}],
  ])('after its machine %s is made leaves a machine, and the sweeps remove that', async (_what, request) => {
    const owner = await account();
    const dying: Partial<Machines> = {
      start: async (...args) => {
        await world.machines.start(...args);
        return never();
      },
    };
    void world.over({ machines: dying }).create(op(owner), { origin: 'agents', ...request });
    await expect.poll(machines, PATIENT).toEqual(['running']);
    await world.abandon();
    clock.advance(10 * MINUTE);
    await sweep();
    await expectNothing(owner);
  });

  test('after its commit leaves a sandbox that lives on, however long nobody looks after it', async () => {
    const owner = await account();
    await world.sandboxes.create(op(owner), { origin: 'agents' });
    await world.abandon();
    clock.advance(30 * MINUTE);
    await world.machines.sweep(world.op(owner));
    await sweep();
    expect([await rows(), await machines()]).toEqual([[{ state: 'running' }], ['running']]);
  });

  test('and is tried again under its seed meanwhile makes one sandbox with one machine', async () => {
    const owner = await account();
    const seed = Buffer.alloc(32, 5);
    const request = { origin: 'agents' as const, limits: { vcpus: 2, memoryMb: 512, diskGb: 1 } };
    const dying: Partial<Machines> = {
      start: async (...args) => {
        await world.machines.start(...args);
        return never();
      },
    };
    void world.over({ machines: dying }).create(op(owner, seed), request);
    await expect.poll(machines, PATIENT).toEqual(['running']);
    await expect(world.sandboxes.create(op(owner, seed), request)).rejects.toMatchObject({ code: 'conflict' });
    await world.abandon();
    expect(await world.sandboxes.create(op(owner, seed), request)).toMatchObject({ state: 'running' });
    expect(await machines()).toEqual(['running']);
    expect(await world.history(owner)).toHaveLength(2);
  });
});

describe('a create that fails', () => {
  test.each([
    ['the host is full', new AppError('at_capacity', 'Server at capacity — try again later'), { code: 'at_capacity' }],
    ['the driver throws', new Error('crun: exit status 1'), { code: 'internal', message: 'Failed to create sandbox' }],
    // The edge knows that this is over in a moment.
    ['the database goes away', new Error('Connection terminated'), { message: 'Connection terminated' }],
  ])('because %s leaves nothing and is told as what it is', async (_what, error, told) => {
    const owner = await account();
    const broken = world.over({ machines: { start: () => Promise.reject(error) } });
    await expect(broken.create(op(owner), { origin: 'agents' })).rejects.toMatchObject(told);
    await expectNothing(owner);
  });

  test('because the money went meanwhile leaves nothing', async () => {
    const owner = await account(1_000n);
    const slow: Partial<Machines> = {
      start: async (...args) => {
        const machine = await world.machines.start(...args);
        await started(owner);
        return machine;
      },
    };
    const late = world.over({ machines: slow });
    await expect(late.create(op(owner), { origin: 'agents' })).rejects.toMatchObject({ code: 'unaffordable' });
    expect(await rows()).toEqual([{ state: 'running' }]);
    expect(await machines()).toEqual(['running']);
  });

  test('because the caller went leaves nothing', async () => {
    const owner = await account();
    const gone = new AbortController();
    const slow: Partial<Machines> = {
      start: async (...args) => {
        const machine = await world.machines.start(...args);
        gone.abort();
        args[0].signal.throwIfAborted();
        return machine;
      },
    };
    const creating = world.over({ machines: slow }).create({ ...op(owner), signal: gone.signal }, { origin: 'agents' });
    await expect(creating).rejects.toThrow();
    clock.advance(10 * MINUTE);
    await sweep();
    await expectNothing(owner);
  });
});

describe('a destroy that dies', () => {
  test('after its commit leaves a machine, and the sweep removes that', async () => {
    const owner = await account();
    const { id } = await started(owner);
    void world.over({ machines: { destroy: never } }).destroy(op(owner), id);
    await expect.poll(rows, PATIENT).toEqual([{ state: 'destroyed' }]);
    expect(await machines()).toEqual(['running']);
    await world.abandon();
    await sweep();
    expect(await machines()).toEqual([]);
  });

  test('or fails there is done again by the sweep, until it is done', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const broken = world.over({ machines: { destroy: () => Promise.reject(new Error('busy')) } });
    await broken.destroy(op(owner), id);
    await world.abandon();
    expect(await broken.tick(world.system())).toBeGreaterThan(0);
    expect(await machines()).toEqual(['running']);
    await world.abandon();
    await sweep();
    expect(await machines()).toEqual([]);
  });
});

describe('a machine that is lost', () => {
  test.each(['running', 'paused'] as const)(
    'ends its %s sandbox, and what was not used is given back',
    async (state) => {
      const owner = await account();
      const { id, code, machineId } = await started(owner);
      clock.advance(12 * SECOND);
      if (state === 'paused') await world.sandboxes.pause(op(owner), id, { keepMemory: true });
      world.driver.present.delete(machineId);
      // A fact is followed when nothing older is still under way, in any database of the server.
      const left = async () => (await sweep(), world.sandboxes.byCode(code));
      await expect.poll(left, PATIENT).toBeUndefined();
      await expect(world.sandboxes.get(op(owner), id)).rejects.toMatchObject({ code: 'not_found' });
      expect(1_000_000n - (await world.available(owner))).toBe(167n); // twelve seconds of five cents an hour
      expect(await world.database.db.query(`select end_reason from sandboxes`)).toEqual([{ end_reason: 'lost' }]);
      expect((await world.facts(id)).at(-1)).toBe('sandbox.destroyed');
    },
  );
});

test('a sandbox whose host was down for hours pays until it was last seen, and its owner has the rest back', async () => {
  const owner = await account();
  const { code, machineId } = await started(owner, { timeoutMs: 6 * HOUR });
  clock.advance(12 * SECOND);
  await world.machines.takeSamples(world.system());
  clock.advance(3 * HOUR);
  world.driver.present.delete(machineId);
  await world.sandboxes.tick(world.system());
  const left = async () => (await sweep(), world.sandboxes.byCode(code));
  await expect.poll(left, PATIENT).toBeUndefined();
  expect(1_000_000n - (await world.available(owner))).toBe(167n); // twelve seconds of five cents an hour
});

describe('a sweep', () => {
  test('that fails for one sandbox does the others', async () => {
    const owner = await account();
    const [bad, good] = [await started(owner, { timeoutMs: MINUTE }), await started(owner)];
    clock.advance(MINUTE);
    const broken = world.over({
      ledger: {
        transfer: (tx, by, transfer) =>
          transfer.metadata?.['sandbox_id'] === good.id
            ? Promise.reject(new Error('no'))
            : world.ledger.transfer(tx, by, transfer),
      },
    });
    await broken.tick(world.system());
    await expect(world.sandboxes.get(op(owner), bad.id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await world.sandboxes.get(op(owner), good.id)).toMatchObject({ state: 'running' });
  });

  test('whose first fact cannot be taken bills the others and takes that fact later', async () => {
    const owner = await account();
    const [lost, other] = [await started(owner), await started(owner)];
    world.driver.present.delete(lost.machineId);
    await world.machines.sweep(world.system());
    clock.advance(MINUTE);
    const broken = world.over({
      ledger: {
        transfer: (tx, by, transfer) =>
          transfer.metadata?.['sandbox_id'] === lost.id
            ? Promise.reject(new Error('no'))
            : world.ledger.transfer(tx, by, transfer),
      },
    });
    const missed = async () => {
      await broken.tick(world.system());
      return world.database.db.query(`select follower from facts_missed`);
    };
    await expect.poll(missed, PATIENT).toEqual([{ follower: 'sandboxes' }]);
    // The money itself, two first minutes, and the next one of the other.
    expect(await world.history(owner)).toHaveLength(4);
    expect(await world.sandboxes.get(op(owner), other.id)).toMatchObject({ state: 'running' });
    await world.database.db.query(`update facts_missed set next_at = clock_timestamp()`);
    await sweep();
    expect(await world.sandboxes.byCode(lost.code)).toBeUndefined();
  });
});

describe('a resume', () => {
  test('whose maker died and whose machine cannot be woken rests again, and costs nothing', async () => {
    const owner = await account();
    const { id } = await started(owner);
    await world.sandboxes.pause(op(owner), id, { keepMemory: true });
    const before = await world.available(owner);
    const waking = { resume: never, get: never };
    void world.over({ machines: waking }).keepAlive(op(owner), id, undefined);
    const moving = () => world.database.db.query(`select moving from sandboxes`);
    await expect.poll(moving, PATIENT).toEqual([{ moving: 'resuming' }]);
    await world.abandon();
    clock.advance(10 * MINUTE);
    const broken = { resume: () => Promise.reject(new AppError('conflict', 'The machine could not be resumed.')) };
    await world.over({ machines: broken }).tick(world.system());
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({ state: 'paused', pausedBy: 'request' });
    expect(await world.available(owner)).toBe(before);
  });
});

describe('a pause', () => {
  test('whose machine cannot be frozen ends in a stop, so that nothing runs on unpaid', async () => {
    const owner = await account(834n); // a minute
    const { id } = await started(owner, { lifecycle: { onTimeout: 'pause' } });
    clock.advance(MINUTE);
    const broken = world.over({
      machines: { pause: () => Promise.reject(new AppError('conflict', 'The machine could not be paused.')) },
    });
    await broken.tick(world.system());
    expect(await world.sandboxes.get(op(owner), id)).toMatchObject({
      state: 'paused',
      pausedBy: 'money',
      ready: false,
    });
    expect(await machines()).toEqual(['running']);
    await world.abandon();
    await broken.tick(world.system());
    expect(await machines()).toEqual(['remains']);
    const { state, keptMemory, ready } = await world.sandboxes.get(op(owner), id);
    expect({ state, keptMemory, ready }).toEqual({ state: 'paused', keptMemory: false, ready: true });
    expect(await world.available(owner)).toBe(0n);
  });
});

describe('a fork that dies', () => {
  test('as soon as its copy is there leaves a copy, and the sweep removes that', async () => {
    const owner = await account();
    const { id } = await started(owner);
    const dying: Partial<Machines> = {
      snapshot: async (...args) => {
        await world.machines.snapshot(...args);
        return never();
      },
    };
    void world.over({ machines: dying }).fork(op(owner), id, { count: 2 });
    await expect.poll(() => world.driver.copies.size, PATIENT).toBe(1);
    await expect
      .poll(() => world.database.db.query(`select 1 as one from machine_snapshots where bytes is not null`), PATIENT)
      .toHaveLength(1);
    await world.abandon();
    await sweep();
    expect(world.driver.copies.size).toBe(0);
  });
});
