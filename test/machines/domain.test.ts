import { beforeEach, describe, expect, test } from 'vitest';
import { createMachines, type Machines } from '../../src/domains/machines/index.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import { DAY, MINUTE } from '../../src/kernel/time.ts';
import { createLog } from '../../src/platform/log.ts';
import type { TestDatabase } from '../harness/database.ts';
import { accountOp } from '../harness/op.ts';
import { newMachineId, SMALL, testHost, type TestHost } from './host.ts';
import { machinesWorld } from './machines-world.ts';

const world = machinesWorld();
const { clock, op, owner, request, started } = world;
let host: TestHost;
let database: TestDatabase;
let machines: Machines;

beforeEach(() => {
  ({ host, database, machines } = world);
});

const factsOf = async (id: string): Promise<string[]> =>
  (await database.db.query<{ type: string }>(`select type from facts where subject = $1 order by seq`, [id])).map(
    ({ type }) => type,
  );

const stateOf = async (id: string): Promise<unknown> =>
  (await database.db.query(`select state, end_reason from machines where id = $1`, [id]))[0];

describe('the life of a machine', () => {
  test('goes from creating over running to destroyed, with a fact for each step', async () => {
    const machine = await machines.start(op(), request());
    expect(machine).toMatchObject({ state: 'running', tier: 'container', runtime: 'crun', accountId: owner });
    expect((await machines.exec(op(), machine.id, { command: 'echo hello' })).stdout.toString()).toBe('hello\n');
    await machines.destroy(op(), machine.id);
    expect(await stateOf(machine.id)).toEqual({ state: 'destroyed', end_reason: 'requested' });
    expect(await factsOf(machine.id)).toEqual([
      'machine.requested',
      'machine.started',
      'machine.destroying',
      'machine.destroyed',
    ]);
    expect((await machines.get(op(), machine.id)).cpuSeconds).toBeGreaterThan(0);
  });

  test('under one id, any number of starts make one machine', async () => {
    const id = newMachineId();
    const all = await Promise.all(Array.from({ length: 5 }, () => machines.start(op(), request({ id }))));
    expect(new Set(all.map((machine) => machine.id))).toEqual(new Set([id]));
    expect(await machines.start(op(), request({ id }))).toMatchObject({ id, state: 'running' });
    expect(await machines.list(op())).toHaveLength(1);
    await expect(
      machines.start(op(), request({ id, accountId: uuidv7(new Date()) as AccountId })),
    ).rejects.toMatchObject({ code: 'conflict' });
    await machines.destroy(op(), id);
    await expect(machines.start(op(), request({ id }))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('destroying twice, at once or again, or what never was, has no further effect', async () => {
    const id = await started();
    await Promise.all([machines.destroy(op(), id), machines.destroy(op(), id)]);
    await machines.destroy(op(), id);
    expect((await factsOf(id)).filter((type) => type === 'machine.destroyed')).toHaveLength(1);
    await machines.destroy(op(), newMachineId());
  });

  test('started and destroyed at once, it ends destroyed and leaves nothing', async () => {
    for (const delay of [0, 20, 60, 100]) {
      const id = newMachineId();
      const starting = machines.start(op(), request({ id })).then(
        () => 'started',
        (error: { code?: string }) => error.code ?? 'failed',
      );
      await new Promise((resolve) => setTimeout(resolve, delay));
      await machines.destroy(op(), id);
      await starting;
      await machines.destroy(op(), id);
      expect(await stateOf(id)).toMatchObject({ state: 'destroyed' });
      expect(await host.driver.list()).toEqual([]);
    }
  });

  test('one that cannot be started leaves a destroyed row and nothing else', async () => {
    const id = newMachineId();
    await expect(machines.start(op(), request({ id, image: 'no-such-image' }))).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await stateOf(id)).toEqual({ state: 'destroyed', end_reason: 'failed_to_start' });
    const cancelled = new AbortController();
    // In the midst of it, however quick the host is.
    const create: typeof host.driver.create = async (spec, signal) => {
      const creating = host.driver.create(spec, signal);
      setTimeout(() => cancelled.abort(), 5);
      return creating;
    };
    const driver = { ...host.driver, create };
    const cut = createMachines({ db: database.db, driver, clock, log: createLog({ level: 'silent' }) });
    await expect(cut.start({ ...op(), signal: cancelled.signal }, request())).rejects.toThrow();
    expect(await host.driver.list()).toEqual([]);
  });

  test('limits out of bounds are refused before anything is made', async () => {
    for (const limits of [
      { ...SMALL, vcpus: 0 },
      { ...SMALL, memoryMb: Number.NaN },
      { ...SMALL, diskGb: 1e9 },
      { ...SMALL, pids: -1 },
    ])
      await expect(machines.start(op(), request({ limits }))).rejects.toMatchObject({ code: 'invalid' });
    await expect(machines.start(op(), request({ leaseMs: -1 }))).rejects.toMatchObject({ code: 'invalid' });
    expect(await machines.list(op())).toEqual([]);
  });

  test('where the limits of all machines are more than the host bears, the server is at capacity', async () => {
    const memoryMb = Math.floor((await host.driver.room()).memoryMb * 1.6);
    const results = await Promise.allSettled(
      [1, 2].map(() => machines.start(op(), request({ limits: { ...SMALL, memoryMb } }))),
    );
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(results.find((result) => result.status === 'rejected')).toMatchObject({
      reason: {
        code: 'at_capacity',
        message: 'Server at capacity — try again later',
        retryAfterSeconds: expect.any(Number),
      },
    });
  });

  test("another account's machine does not exist", async () => {
    const id = await started();
    const stranger = accountOp(uuidv7(new Date()) as AccountId);
    const attempts = [
      machines.get(stranger, id),
      machines.exec(stranger, id, { command: 'id' }),
      machines.readFile(stranger, id, '/etc/passwd', { maxBytes: 10 }),
      machines.writeFile(stranger, id, 'x', 'x'),
      machines.listFiles(stranger, id, '/'),
      machines.usage(stranger, id),
      machines.extendLease(stranger, id, new Date(Date.now() + DAY)),
      machines.destroy(stranger, id),
    ];
    await Promise.all(attempts.map((attempt) => expect(attempt).rejects.toMatchObject({ code: 'not_found' })));
    expect(await machines.list(stranger)).toEqual([]);
    expect(await machines.list(accountOp(owner))).toMatchObject([
      { id, state: 'running', usage: { processes: expect.any(Number) } },
    ]);
  });

  test('a command that cannot be run is refused', async () => {
    const id = await started();
    for (const command of ['', [], [''], 'a\0b', 'x'.repeat(200_000)])
      await expect(machines.exec(op(), id, { command })).rejects.toMatchObject({ code: 'invalid' });
    await expect(machines.exec(op(), id, { command: 'x', env: { 'A=B': 'c' } })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(machines.exec(op(), id, { command: 'x', timeoutMs: 0 })).rejects.toMatchObject({ code: 'invalid' });
    await machines.destroy(op(), id);
    expect(await machines.exec(op(), id, { command: 'true' })).toMatchObject({
      kind: 'lost',
      reason: 'The machine is destroyed.',
    });
  });
});

describe('leases and the sweep', () => {
  test('a machine lives as long as its lease, and a sweep longer at most', async () => {
    const [short, long] = [await started({ leaseMs: 5 * MINUTE }), await started({ leaseMs: 20 * MINUTE })];
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    clock.ahead = 6 * MINUTE;
    expect(await machines.sweep(op())).toEqual({ removed: [short] });
    expect(await stateOf(short)).toEqual({ state: 'destroyed', end_reason: 'lease_expired' });
    expect(await host.driver.list()).toEqual([{ id: long, state: 'running' }]);
  });

  test('an extended lease counts, a lease is never made shorter, and the dead have none', async () => {
    const id = await started({ leaseMs: 5 * MINUTE });
    const until = new Date(clock.now().getTime() + 30 * MINUTE);
    expect((await machines.extendLease(op(), id, until)).leaseUntil).toEqual(until);
    expect((await machines.extendLease(op(), id, new Date(clock.now().getTime() + MINUTE))).leaseUntil).toEqual(until);
    clock.ahead = 10 * MINUTE;
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    await machines.destroy(op(), id);
    await expect(machines.extendLease(op(), id, new Date(clock.now().getTime() + MINUTE))).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  test('what bears our name and is no living machine is removed; another installation is left alone', async () => {
    const [orphan, id] = [await host.create(), await started()];
    const other = await testHost('crun');
    const stranger = await other.create();
    expect(await machines.sweep(op())).toEqual({ removed: [orphan] });
    expect(await host.driver.list()).toEqual([{ id, state: 'running' }]);
    expect(await other.driver.list()).toEqual([{ id: stranger, state: 'running' }]);
    await other.dispose();
  });

  test('a machine that ended by itself is told as lost', async () => {
    const id = await started();
    process.kill(await host.firstProcess(id), 'SIGKILL');
    expect(await machines.sweep(op())).toEqual({ removed: [id] });
    expect(await stateOf(id)).toEqual({ state: 'destroyed', end_reason: 'lost' });
  });

  test('after a reboot of the host every machine is told as lost', async () => {
    const id = await started();
    await host.driver.destroy(id);
    expect(await machines.adopt(op())).toEqual({ adopted: [], removed: [id] });
    expect(await stateOf(id)).toEqual({ state: 'destroyed', end_reason: 'lost' });
  });

  test('a new process adopts what runs and finishes what its predecessor was removing', async () => {
    const [running, half] = [await started(), await started()];
    await database.db.transact((tx) =>
      tx.query(`update machines set state = 'destroying', end_reason = 'requested' where id = $1`, [half]),
    );
    const next = createMachines({ db: database.db, driver: host.driver, clock, log: createLog({ level: 'silent' }) });
    expect(await next.adopt(op())).toEqual({ adopted: [running], removed: [half] });
    expect((await next.exec(op(), running, { command: 'echo on' })).stdout.toString()).toBe('on\n');
  });

  test('a machine whose maker died is made again under its id, or swept', async () => {
    const [taken, swept] = [newMachineId(), newMachineId()];
    for (const id of [taken, swept]) {
      await started({ id });
      // As it was a moment before the maker would have written down that it is done.
      await database.db.transact((tx) =>
        tx.query(`update machines set state = 'creating', started_at = null where id = $1`, [id]),
      );
    }
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    clock.ahead = 2 * MINUTE;
    expect(await machines.start(op(), request({ id: taken }))).toMatchObject({ id: taken, state: 'running' });
    expect(await machines.sweep(op())).toEqual({ removed: [swept] });
    expect(await stateOf(swept)).toEqual({ state: 'destroyed', end_reason: 'abandoned' });
  });
});
