import { beforeEach, describe, expect, test } from 'vitest';
import { POOLED_LIMITS, type Machines, type StartRequest } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import type { ListedMachines } from '../fakes/driver.ts';
import { accountOp } from '../harness/op.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();
const { clock, op, over, facts, owner } = world;
let driver: ListedMachines;
let machines: Machines;

beforeEach(() => {
  ({ driver } = world);
  machines = over({}, { poolSize: 3 });
});

const wish = (overrides: Partial<StartRequest> = {}): StartRequest =>
  world.request({ limits: POOLED_LIMITS, fromPool: true, ...overrides });

const pooled = async () => (await machines.list(op())).filter(({ state }) => state === 'pooled').map(({ id }) => id);

async function filled(): Promise<string[]> {
  while ((await machines.refillPool(op())) > 0);
  return pooled();
}

describe('the pool', () => {
  test('is filled one by one up to its size, and is nobody else’s to see', async () => {
    expect(await machines.refillPool(op())).toBe(1);
    expect(await pooled()).toHaveLength(1);
    expect(await filled()).toHaveLength(3);
    expect(await machines.list(accountOp(owner))).toEqual([]);
    clock.ahead = 10 * DAY;
    expect(await machines.sweep(op())).toEqual({ removed: [] });
  });

  test('gives each of many who ask at once another machine, and makes one for whoever comes too late', async () => {
    const waiting = await filled();
    const made = await Promise.all(Array.from({ length: 5 }, () => machines.start(op(), wish())));
    const ids = made.map(({ id }) => id as string);
    expect(new Set(ids).size).toBe(5);
    expect(waiting.every((id) => ids.includes(id))).toBe(true);
    expect(made.every(({ state, accountId }) => state === 'running' && accountId === owner)).toBe(true);
    expect(await pooled()).toEqual([]);
    expect(await machines.list(accountOp(owner))).toHaveLength(5);
  });

  test('hands a machine over whole: owner, purpose, lease, running time and facts begin there', async () => {
    await filled();
    clock.ahead = MINUTE;
    const machine = await machines.start(op(), wish({ leaseMs: 5 * MINUTE, purpose: 'sandbox' }));
    expect(machine).toMatchObject({ purpose: 'sandbox', ranMs: 0, network: 'egress', image: driver.baseImage });
    expect(machine.leaseUntil.getTime() - clock.now().getTime()).toBeGreaterThan(4 * MINUTE);
    expect(clock.now().getTime() - machine.createdAt.getTime()).toBeLessThan(MINUTE / 2);
    const told = await facts(machine.id);
    expect(told.map(({ type }) => type)).toEqual([
      'machine.requested',
      'machine.pooled',
      'machine.requested',
      'machine.started',
    ]);
    clock.ahead = 10 * MINUTE;
    expect((await machines.sweep(op())).removed).toEqual([machine.id]);
  });

  test('is for plain machines of its own size only', async () => {
    await filled();
    const strange: Partial<StartRequest>[] = [
      { fromPool: false },
      { limits: { ...POOLED_LIMITS, memoryMb: 1_024 } },
      { network: 'none' },
      { image: 'other' },
      { rules: { allow: [], deny: ['1.1.1.1'] } },
      { id: 'mch_00000000000000000000000000000001' as StartRequest['id'] },
    ];
    for (const overrides of strange) await machines.start(op(), wish(overrides));
    expect(await pooled()).toHaveLength(3);
  });

  test('does not hand out what has died while it waited', async () => {
    const [first = '', second = ''] = await filled();
    driver.present.set(first, 'remains');
    expect((await machines.start(op(), wish())).id).toBe(second);
    expect(await machines.list(op())).toHaveLength(2);
    driver.present.delete((await pooled())[0] ?? '');
    expect((await machines.sweep(op())).removed).toHaveLength(1);
  });

  test('outlives the process that filled it, and loses what is too much for the next one', async () => {
    await filled();
    const next = over({}, { poolSize: 1 });
    expect((await next.adopt(op())).removed).toEqual([]);
    while ((await next.refillPool(op())) > 0);
    const [left = ''] = await pooled();
    expect([await pooled(), driver.present.size]).toEqual([[left], 1]);
    expect((await next.start(op(), wish())).id).toBe(left);
    await filled();
    await machines.drainPool(op());
    expect(await pooled()).toEqual([]);
  });

  test('that another version filled is given up at adoption, and nobody is given its machines', async () => {
    const [first = '', second = '', third = ''] = await filled();
    driver.outdated.add(first).add(third);
    const next = over({}, { poolSize: 3 });
    await next.adopt(op());
    expect(await pooled()).toEqual([second]);
    expect([...driver.present.keys()]).toEqual([second]);
  });

  test('holds back while a machine is made for somebody who waits for it', async () => {
    const making = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = over({
      create: async (spec, signal) => {
        making.resolve();
        await goOn.promise;
        await driver.create(spec, signal);
      },
    });
    const starting = slow.start(op(), wish());
    await making.promise;
    expect(await machines.refillPool(op())).toBe(0);
    goOn.resolve();
    await starting;
    expect(await machines.refillPool(op())).toBe(1);
  });

  test('takes no room from those who ask for a machine', async () => {
    // Four machines of 512 MiB, by the rule that all limits together may be three times the memory.
    const room = async () => ({ memoryMb: 683, diskGb: 100, freeDiskGb: 100, diskSizeGb: 100 });
    machines = over({ room }, { poolSize: 4 });
    expect(await filled()).toHaveLength(4);
    await machines.start(op(), wish({ fromPool: false, limits: { ...POOLED_LIMITS, memoryMb: 1_024 } }));
    expect(await pooled()).toHaveLength(2);
    expect(await machines.refillPool(op())).toBe(0);
    await expect(machines.start(op(), wish({ limits: { ...POOLED_LIMITS, memoryMb: 2_048 } }))).rejects.toMatchObject({
      code: 'at_capacity',
    });
  });

  test('gives a request that is carried out once more the same machine', async () => {
    await filled();
    const seeded = { ...op(), seed: Buffer.alloc(32, 7) };
    const machine = await machines.start(seeded, wish());
    expect((await machines.start(seeded, wish())).id).toBe(machine.id);
    expect(await pooled()).toHaveLength(2);
    const stranger = wish({ accountId: uuidv7(new Date()) as AccountId });
    expect((await machines.start({ ...op(), seed: Buffer.alloc(32, 8) }, stranger)).id).not.toBe(machine.id);
    await machines.destroy(op(), machine.id);
    await expect(machines.start(seeded, wish())).rejects.toMatchObject({ code: 'conflict' });
  });

  test('is wanted full again in the transaction that takes a machine from it', async () => {
    await filled();
    const nudged: string[] = [];
    const { db } = world.database;
    const { createMachines } = await import('../../src/domains/machines/index.ts');
    const { createLog } = await import('../../src/platform/log.ts');
    const jobs = { nudge: async (_: unknown, { name }: { name: string }) => void nudged.push(name) };
    await createMachines({ db, driver, clock, log: createLog({ level: 'silent' }), jobs }).start(op(), wish());
    expect(nudged).toEqual(['machines.fill-pool']);
  });

  test('that cannot be filled troubles nobody', async () => {
    const broken = over({ create: () => Promise.reject(new Error('no such device')) }, { poolSize: 1 });
    expect(await broken.refillPool(op())).toBe(0);
    expect(await pooled()).toEqual([]);
  });
});
