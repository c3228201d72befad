import { Readable } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Machines, SnapshotCursor } from '../../src/domains/machines/index.ts';
import type { CopyName } from '../../src/domains/machines/drivers/driver.ts';
import { uuidv7, type AccountId, type MachineId, type SnapshotId } from '../../src/kernel/ids.ts';
import type { ListedMachines } from '../fakes/driver.ts';
import { accountOp } from '../harness/op.ts';
import { SMALL } from './host.ts';
import { listedWorld } from './listed-world.ts';

const world = listedWorld();
const { clock, op, started, request, over, facts, owner } = world;
let machines: Machines;
let driver: ListedMachines;
let id: MachineId;

beforeEach(async () => {
  ({ machines, driver } = world);
  id = await started({ image: 'some-image' });
});

const ids = async () => (await machines.listSnapshots(op(), { limit: 100 })).rows.map((snapshot) => snapshot.id);

describe('snapshots', () => {
  test('are taken of machines that run and that rest, outlive them, and are told', async () => {
    const first = await machines.snapshot(op(), id, { name: 'first' });
    expect(first).toMatchObject({ machineId: id, accountId: owner, name: 'first', image: 'some-image', limits: SMALL });
    expect(first.bytes).toBe(1_048_576);
    expect(first.id).toMatch(/^snp_[0-9a-f]{32}$/);
    await machines.pause(op(), id);
    await machines.snapshot(op(), id);
    await machines.stop(op(), id);
    await machines.snapshot(op(), id);
    await machines.destroy(op(), id);
    expect(await machines.getSnapshot(op(), first.id)).toEqual(first);
    expect(await ids()).toHaveLength(3);
    const told = (await facts(id)).find(({ type }) => type === 'machine.snapshotted');
    expect(told?.data).toMatchObject({ snapshotId: first.id, name: 'first', bytes: 1_048_576, cpuSeconds: 0.5 });
  });

  test('are listed newest first, in pages, by name and machine', async () => {
    const other = await started();
    for (const [machine, name] of [
      [id, 'a'],
      [id, 'b'],
      [other, 'a'],
    ] as const) {
      clock.ahead += 1_000;
      await machines.snapshot(op(), machine, { name });
    }
    const names = async (filter: { name?: string; machineId?: MachineId }) =>
      (await machines.listSnapshots(op(), { ...filter, limit: 10 })).rows.map(({ name }) => name);
    expect(await names({})).toEqual(['a', 'b', 'a']);
    expect(await names({ name: 'a' })).toEqual(['a', 'a']);
    expect(await names({ machineId: id })).toEqual(['b', 'a']);
    const seen: SnapshotId[] = [];
    for (let after: SnapshotCursor | undefined, pages = 0; pages < 3; pages++) {
      const page = await machines.listSnapshots(op(), { limit: 1, after });
      seen.push(...page.rows.map((snapshot) => snapshot.id));
      after = page.next;
      expect(after === undefined).toBe(pages === 2);
    }
    expect(seen).toEqual(await ids());
  });

  test('of another account do not exist', async () => {
    const { id: snapshot } = await machines.snapshot(op(), id);
    const strange = uuidv7(new Date()) as AccountId;
    const stranger = accountOp(strange);
    await expect(machines.getSnapshot(stranger, snapshot)).rejects.toMatchObject({ code: 'not_found' });
    await expect(machines.removeSnapshot(stranger, snapshot)).rejects.toMatchObject({ code: 'not_found' });
    expect(await machines.listSnapshots(stranger, { limit: 10, accountId: owner })).toEqual({ rows: [] });
    await expect(machines.start(op(), request({ snapshot, accountId: strange }))).rejects.toMatchObject({
      code: 'not_found',
      message: 'Snapshot not found',
    });
    expect((await machines.listSnapshots(accountOp(owner), { limit: 10 })).rows).toHaveLength(1);
  });

  test('are what new machines begin with, over the same image and on no smaller disk', async () => {
    const { id: snapshot, copy } = await machines.snapshot(op(), id);
    const specs: unknown[] = [];
    const seeing = over({
      create: async (spec, signal) => {
        specs.push(spec);
        await driver.create(spec, signal);
      },
    });
    const machine = await seeing.start(op(), request({ snapshot }));
    expect(machine).toMatchObject({ snapshotId: snapshot, image: 'some-image' });
    expect(specs).toMatchObject([{ snapshot: copy, image: 'some-image' }]);
    await expect(machines.start(op(), request({ snapshot, limits: { ...SMALL, diskGb: 0.1 } }))).rejects.toMatchObject({
      code: 'invalid',
    });
    await machines.removeSnapshot(op(), snapshot);
    await expect(machines.start(op(), request({ snapshot }))).rejects.toMatchObject({ code: 'not_found' });
  });

  test('are removed once, with their copy', async () => {
    const { id: snapshot } = await machines.snapshot(op(), id);
    const removals = await Promise.allSettled([1, 2].map(() => machines.removeSnapshot(op(), snapshot)));
    expect(removals.some(({ status }) => status === 'fulfilled')).toBe(true);
    await expect(machines.removeSnapshot(op(), snapshot)).rejects.toMatchObject({ code: 'not_found' });
    expect([...driver.copies]).toEqual([]);
    expect((await facts(snapshot)).map(({ type }) => type)).toEqual(['snapshot.removed']);
  });

  test('that an account has too many of are refused, also at the same moment', async () => {
    await world.database.db.query(
      `insert into machine_snapshots (id, account_id, machine_id, place, copy, image, vcpus, memory_mb, disk_gb, pids,
                                      created_at, bytes)
       select 'snp_' || n, $1, 'mch_x', 'test-host', 'snp_' || n, 'base', 1, 64, 1, 64, now(), 1 from generate_series(1, 98) n`,
      [owner],
    );
    const results = await Promise.allSettled([1, 2, 3, 4].map(() => machines.snapshot(op(), id)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'conflict' } });
    expect(driver.copies.size).toBe(2);
  });

  test('whose names are none are refused', async () => {
    for (const name of ['', 'x'.repeat(129), 'a\nb'])
      await expect(machines.snapshot(op(), id, { name })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('a snapshot in trouble', () => {
  test('because its driver fails leaves nothing, and the machine as it was', async () => {
    const failing = over({
      snapshot: async (_, snapshot) => {
        driver.copies.add(snapshot);
        throw new Error('no space left');
      },
    });
    await expect(failing.snapshot(op(), id)).rejects.toMatchObject({
      code: 'conflict',
      message: 'No snapshot could be taken of the machine.',
    });
    expect([await ids(), driver.copies.size]).toEqual([[], 0]);
    expect(await machines.pause(op(), id)).toMatchObject({ state: 'paused' });
  });

  test('whose machine is destroyed meanwhile is whole all the same, and leaves nothing of the machine', async () => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const slow = over({
      snapshot: async (machine, snapshot, signal) => {
        begun.resolve();
        await goOn.promise;
        return driver.snapshot(machine, snapshot, signal);
      },
    });
    const taking = slow.snapshot(op(), id);
    await begun.promise;
    await machines.destroy(op(), id);
    goOn.resolve();
    const whole = await taking;
    expect(await ids()).toEqual([whole.id]);
    expect([...driver.present]).toEqual([]);
  });

  test('whose machine another has taken over meanwhile is not taken for whole', async () => {
    const reservedAs = `snp_${'7'.repeat(32)}` as SnapshotId;
    const stalled = over({
      snapshot: async (machine, snapshot, signal) => {
        const taken = await driver.snapshot(machine, snapshot, signal);
        await world.left(machine, 'snapshotting');
        return taken;
      },
    });
    await expect(stalled.snapshot(op(), id, { reservedAs })).rejects.toMatchObject({ code: 'conflict' });
    await expect(machines.getSnapshot(op(), reservedAs)).rejects.toMatchObject({ code: 'not_found' });
    expect([...driver.copies]).toEqual([]);
    expect(await machines.snapshot(op(), id, { reservedAs })).toMatchObject({ id: reservedAs });
  });

  test('because its process died is not shown, and swept', async () => {
    const kept = await machines.snapshot(op(), id);
    driver.copies.add('snp_half' as CopyName);
    await world.database.db.query(
      `insert into machine_snapshots (id, account_id, machine_id, place, copy, image, vcpus, memory_mb, disk_gb, pids,
                                      created_at, taking_until)
       values ('snp_half', $1, $2, 'test-host', 'snp_half', 'base', 1, 64, 1, 64, now(), clock_timestamp() + interval '1 minute')`,
      [owner, id],
    );
    expect(await ids()).toEqual([kept.id]);
    expect(await machines.sweep(op())).toEqual({ removed: [] });
    await world.database.db.query(
      `update machine_snapshots set taking_until = clock_timestamp() - interval '1 second' where bytes is null`,
    );
    expect(await machines.sweep(op())).toEqual({ removed: ['snp_half'] });
    expect([...driver.copies]).toEqual([kept.copy]);
  });
});

test('the platform’s own, whose last bytes may not have come to the disk before the host went down, are made again', async () => {
  const reservedAs = `snp_${'3'.repeat(32)}` as SnapshotId;
  const [own, reserved] = [await machines.snapshot(op(), id), await machines.snapshot(op(), id, { reservedAs })];
  expect(await machines.snapshot(op(), id, { reservedAs })).toEqual(reserved);
  const afterwards = over({ hostStart: 'the second' });
  await expect(afterwards.getSnapshot(op(), reservedAs)).rejects.toMatchObject({ code: 'not_found' });
  const again = await afterwards.snapshot(op(), id, { reservedAs });
  expect(again.copy).not.toBe(reserved.copy);
  expect([...driver.copies]).toEqual([own.copy, again.copy]);
  expect(await afterwards.getSnapshot(op(), own.id)).toEqual(own);
});

describe('two takers of one snapshot, of whom the first was taken for dead', () => {
  const wanted = () => ({
    id: `snp_${'5'.repeat(32)}` as SnapshotId,
    accountId: owner,
    machineId: id,
    image: 'some-image',
    limits: SMALL,
    expectedBytes: 1_000,
  });
  const content = () => Readable.from([Buffer.from('a disk')]);

  /** Has one begun and forgotten by the sweep; it goes on when it is told how it ends. */
  async function forgotten() {
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<'fails' | 'finishes'>();
    const first = over({
      importSnapshot: async (copy, incoming, signal) => {
        driver.copies.add(copy);
        begun.resolve();
        if ((await end.promise) === 'fails') throw new Error('no space left');
        return driver.importSnapshot(copy, incoming, signal);
      },
    });
    const taking = first.importSnapshot(op(), wanted(), content());
    await begun.promise;
    await world.database.db.query(
      `update machine_snapshots set taking_until = clock_timestamp() - interval '1 second' where bytes is null`,
    );
    await machines.sweep(op());
    return { taking, end };
  }

  test.each(['fails', 'finishes'] as const)(
    'never touch each other’s half, and the first, who %s, is answered with what is whole',
    async (how) => {
      const { taking, end } = await forgotten();
      const whole = await machines.importSnapshot(op(), wanted(), content());
      end.resolve(how);
      expect(await taking).toEqual(whole);
      expect([...driver.copies]).toEqual([whole.copy]);
      expect(await machines.sweep(op())).toEqual({ removed: [] });
      await machines.removeSnapshot(op(), whole.id);
      expect([...driver.copies]).toEqual([]);
    },
  );

  test.each(['fails', 'finishes'] as const)(
    'never touch each other’s half, also where the first %s while the second is at it',
    async (how) => {
      const { taking, end } = await forgotten();
      const begun = Promise.withResolvers<CopyName>();
      const goOn = Promise.withResolvers<void>();
      const second = over({
        importSnapshot: async (copy, incoming, signal) => {
          driver.copies.add(copy);
          begun.resolve(copy);
          await goOn.promise;
          return driver.importSnapshot(copy, incoming, signal);
        },
      }).importSnapshot(op(), wanted(), content());
      const copy = await begun.promise;
      end.resolve(how);
      await expect(taking).rejects.toThrow();
      expect([...driver.copies]).toEqual([copy]);
      await expect(machines.getSnapshot(op(), wanted().id)).rejects.toMatchObject({ code: 'not_found' });
      goOn.resolve();
      expect(await second).toMatchObject({ copy });
      expect([...driver.copies]).toEqual([copy]);
    },
  );
});

test('asked for twice under one name of the request, one snapshot is taken', async () => {
  const seeded = { ...op(), seed: Buffer.alloc(32, 7) };
  const first = await machines.snapshot(seeded, id);
  expect(await machines.snapshot(seeded, id)).toEqual(first);
  expect(driver.copies.size).toBe(1);
});
