import { appendFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../src/kernel/errors.ts';
import { DAY, HOUR, MINUTE } from '../../src/kernel/time.ts';
import { backupsWorld, RICH } from './backups-world.ts';

const { world, backups, again, kept, backedUp, withServer, expectNothingLeft } = backupsWorld();

describe('a backup', () => {
  test('is pending, then available for seven days, and leaves no copy on the host', async () => {
    const { owner, server } = await withServer();
    const backup = await world.compute.backUp(world.op(owner), server.id);
    expect(backup).toMatchObject({ state: 'pending', label: 'my-bot', plan: 'vc2-1c-1gb', region: 'ams' });
    expect(backup.expiresAt).toEqual(new Date(world.clock.at.getTime() + 7 * DAY));
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'available', snapshotId: undefined });
    expect(await kept()).toHaveLength(1);
    expect([...world.driver.copies]).toEqual([]);
    world.clock.advance(7 * DAY - 1);
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'available' });
    world.clock.advance(1);
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'expired' });
    await expectNothingLeft();
    expect(await world.facts(backup.id)).toEqual(['backup.requested', 'backup.available', 'backup.expired']);
    world.clock.advance(DAY);
    await world.sweep();
    expect(await backups(owner)).toEqual([]);
    expect(await world.database.db.query(`select id from backups`)).toEqual([]);
  });

  test('is deleted early once, and its bytes with it', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    await world.compute.deleteBackup(world.op(owner), backup.id);
    await world.sweep();
    await expectNothingLeft();
    await expect(world.compute.deleteBackup(world.op(owner), backup.id)).rejects.toMatchObject({ code: 'conflict' });
    const restored = world.compute.restore(world.op(owner), backup.id, {});
    await expect(restored).rejects.toMatchObject({ code: 'conflict', message: 'This backup has expired.' });
  });

  test('that is deleted while it is being made leaves nothing', async () => {
    const { owner, server } = await withServer();
    const slow = world.over({
      blobs: {
        async put(key, content, signal) {
          await world.blobs.put(key, content, signal);
          await world.compute.deleteBackup(world.op(owner), backup.id);
        },
      },
    });
    const backup = await world.compute.backUp(world.op(owner), server.id);
    await slow.settleBackup(world.system(), backup.id);
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'expired' });
    await expectNothingLeft();
  });

  test('outlives its server', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'available' });
  });

  test('is somebody else’s: it does not exist, and neither does his server', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    const stranger = world.op(await world.account(RICH));
    expect(await world.compute.backups(stranger)).toEqual([]);
    const attempts = [
      () => world.compute.backUp(stranger, server.id),
      () => world.compute.restore(stranger, backup.id, {}),
      () => world.compute.deleteBackup(stranger, backup.id),
      () => world.compute.scheduleBackups(stranger, server.id, { everyHours: 1, keep: 1 }),
      () => world.compute.backupSchedule(stranger, server.id),
      () => world.compute.unscheduleBackups(stranger, server.id),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'not_found' });
  });

  test('of a server that is not up, or that is being backed up, is refused; of many at once one is made', async () => {
    const owner = await world.account(RICH);
    const server = await world.deployed(owner);
    await expect(world.compute.backUp(world.op(owner), server.id)).rejects.toMatchObject({ code: 'conflict' });
    await world.sweep();
    const attempts = await Promise.allSettled(
      Array.from({ length: 5 }, () => world.compute.backUp(world.op(owner), server.id)),
    );
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const attempt of attempts)
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'conflict' });
    await world.sweep();
    expect(await backups(owner)).toHaveLength(1);
  });

  test('named by its request is made once, however often that is repeated', async () => {
    const { owner, server } = await withServer();
    const seed = Buffer.alloc(32, 5);
    const first = await world.compute.backUp(world.op(owner, seed), server.id);
    await world.sweep();
    expect((await world.compute.backUp(world.op(owner, seed), server.id)).id).toBe(first.id);
    expect(await backups(owner)).toHaveLength(1);
  });

  test('is one too many after fifty', async () => {
    const { owner, server } = await withServer();
    const { id } = await backedUp(owner, server);
    await world.database.db.query(
      `insert into backups (id, account_id, server_id, label, plan, region, scheduled, state, created_at, expires_at,
                            failure)
       select gen_random_uuid(), account_id, server_id, label, plan, region, false, 'error', created_at, expires_at, 'x'
         from backups, generate_series(1, 49) where id = $1`,
      [id],
    );
    await expect(world.compute.backUp(world.op(owner), server.id)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('that cannot be kept is tried again, and then in error with nothing left', async () => {
    const { owner, server } = await withServer();
    let attempts = 0;
    world.compute = world.over({
      blobs: {
        async put(key, content, signal) {
          attempts += 1;
          await world.blobs.put(key, content, signal);
          throw new Error('the store is away');
        },
      },
    });
    const backup = await world.compute.backUp(world.op(owner), server.id);
    for (let n = 0; n < 6; n++) {
      await world.sweep();
      await world.abandon();
    }
    await world.sweep();
    expect(attempts).toBe(4);
    expect(await again(owner, backup)).toMatchObject({ state: 'error', failure: expect.stringMatching(/not be kept/) });
    await expectNothingLeft();
    expect(world.driver.asked.filter((what) => what.startsWith('snapshot'))).toHaveLength(1);
  });

  test('that finds no room waits for it, however often it is tried, says why, and is made once there is some', async () => {
    const { owner, server } = await withServer();
    let isFull = true;
    let attempts = 0;
    world.compute = world.over({
      blobs: {
        async put(key, content, signal) {
          attempts += 1;
          if (isFull) throw new AppError('at_capacity', 'No room for backups', { retryAfterSeconds: 30 });
          await world.blobs.put(key, content, signal);
        },
      },
    });
    const backup = await world.compute.backUp(world.op(owner), server.id);
    for (let n = 0; n < 8; n++) {
      await world.sweep();
      await world.abandon();
      world.clock.advance(MINUTE);
    }
    expect(attempts).toBe(8);
    const pending = { state: 'pending', attempts: 0, failure: undefined };
    expect(await again(owner, backup)).toMatchObject({ ...pending, waiting: { reason: 'No room for backups' } });
    expect(await world.facts(backup.id)).toEqual(['backup.requested', 'backup.waiting']);
    isFull = false;
    await world.sweep();
    expect(await again(owner, backup)).toMatchObject({ state: 'available', waiting: undefined });
    expect(await kept()).toHaveLength(1);
    expect(world.driver.asked.filter((what) => what.startsWith('snapshot'))).toHaveLength(1);
  });

  test('that finds no room for its copy on the host waits too, and is in error with nothing left after two hours', async () => {
    const { owner, server } = await withServer();
    world.driver.host.freeDiskGb = 0;
    const backup = await world.compute.backUp(world.op(owner), server.id);
    const tried = async () => {
      await world.abandon();
      await world.sweep();
    };
    await tried();
    world.clock.advance(2 * HOUR - 1);
    await tried();
    expect(await again(owner, backup)).toMatchObject({ state: 'pending', attempts: 0 });
    world.clock.advance(1);
    await tried();
    expect(await again(owner, backup)).toMatchObject({ state: 'error', failure: expect.stringMatching(/capacity/) });
    world.driver.host.freeDiskGb = 100;
    await world.sweep();
    await expectNothingLeft();
    expect(await world.facts(backup.id)).toEqual(['backup.requested', 'backup.waiting', 'backup.failed']);
  });

  test('whose maker dies at any step is made once by another, of the same moment, with nothing left of the first', async () => {
    const dead = () => Promise.reject(new Error('the process died'));
    const steps: Parameters<typeof world.over>[0][] = [
      { machines: { snapshot: dead } },
      { machines: { exportSnapshot: dead } },
      { blobs: { put: dead } },
      {
        blobs: {
          put: async (key, content, signal) => {
            await world.blobs.put(key, content, signal);
            return dead();
          },
        },
      },
      { machines: { removeSnapshot: dead } },
    ];
    for (const step of steps) {
      const { owner, server } = await withServer();
      const before = world.driver.asked.length;
      const backup = await world.compute.backUp(world.op(owner), server.id);
      await world.over(step).settleBackup(world.system(), backup.id);
      await world.abandon();
      await world.sweep();
      expect(await again(owner, backup)).toMatchObject({ state: 'available' });
      expect(world.driver.asked.slice(before).filter((what) => what.startsWith('snapshot'))).toHaveLength(1);
      expect([...world.driver.copies]).toEqual([]);
      expect((await kept()).length).toBe(1);
      await world.compute.deleteBackup(world.op(owner), backup.id);
      await world.sweep();
      await expectNothingLeft();
    }
  });

  test('is made by one of many who settle it at once', async () => {
    const { owner, server } = await withServer();
    const backup = await world.compute.backUp(world.op(owner), server.id);
    await Promise.all(Array.from({ length: 5 }, () => world.compute.settleBackup(world.system(), backup.id)));
    expect(await again(owner, backup)).toMatchObject({ state: 'available' });
    expect(await kept()).toHaveLength(1);
  });

  test('and its copy on the host are nothing that its account sees among its snapshots', async () => {
    const { owner, server } = await withServer();
    const seen: unknown[] = [];
    world.compute = world.over({
      blobs: {
        async put(key, content, signal) {
          seen.push((await world.machines.listSnapshots(world.op(owner), { limit: 10 })).rows.length);
          const [id] = [...world.driver.copies];
          seen.push(await world.machines.removeSnapshot(world.op(owner), id as never).catch(({ code }) => code));
          await world.blobs.put(key, content, signal);
        },
      },
    });
    await backedUp(owner, server);
    expect(seen).toEqual([0, 'not_found']);
  });
});

describe('a schedule', () => {
  const rhythm = { everyHours: 6, keep: 2 };

  test('has backups made in its rhythm, and keeps so many', async () => {
    const { owner, server } = await withServer();
    const set = await world.compute.scheduleBackups(world.op(owner), server.id, rhythm);
    expect(set.nextAt).toEqual(new Date(world.clock.at.getTime() + 6 * HOUR));
    await world.sweep();
    expect(await backups(owner)).toEqual([]);
    const byHand = await backedUp(owner, server);
    for (let n = 0; n < 4; n++) {
      world.clock.advance(6 * HOUR);
      await world.sweep();
    }
    const states = (await backups(owner)).map(({ state, scheduled }) => [state, scheduled]);
    expect(states).toEqual([
      ['available', true],
      ['available', true],
      ['expired', true],
      ['expired', true],
      ['available', false],
    ]);
    expect(await again(owner, byHand)).toMatchObject({ state: 'available' });
    expect(await kept()).toHaveLength(3);
  });

  test('makes up for nothing after an outage, and says why one was left out', async () => {
    const { owner, server } = await withServer();
    await world.compute.scheduleBackups(world.op(owner), server.id, rhythm);
    world.clock.advance(25 * HOUR);
    await world.sweep();
    expect(await backups(owner)).toHaveLength(1);
    const next = await world.compute.backupSchedule(world.op(owner), server.id);
    expect(next.nextAt).toEqual(new Date('2026-03-14T18:00:00.000Z'));
    expect(next.skipped).toBeUndefined();
    await world.database.db.query(`update servers set moving = 'rebooting' where id = $1`, [server.id]);
    world.clock.advance(6 * HOUR);
    await world.compute.tick(world.system());
    const { skipped } = await world.compute.backupSchedule(world.op(owner), server.id);
    expect(skipped).toMatch(/being started or stopped/);
    expect(await backups(owner)).toHaveLength(1);
  });

  test('ends with its server, or when it is taken away', async () => {
    const { owner, server } = await withServer();
    await expect(world.compute.backupSchedule(world.op(owner), server.id)).rejects.toMatchObject({ code: 'not_found' });
    await world.compute.scheduleBackups(world.op(owner), server.id, rhythm);
    await world.compute.unscheduleBackups(world.op(owner), server.id);
    await expect(world.compute.unscheduleBackups(world.op(owner), server.id)).rejects.toMatchObject({
      code: 'not_found',
    });
    await world.compute.scheduleBackups(world.op(owner), server.id, rhythm);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    world.clock.advance(DAY);
    await world.sweep();
    expect(await world.database.db.query(`select * from backup_schedules`)).toEqual([]);
    expect(await backups(owner)).toEqual([]);
  });
});

test('a half-written file of a process that died goes with the backup', async () => {
  const { owner, server } = await withServer();
  const backup = await backedUp(owner, server);
  const [file = ''] = await kept();
  await appendFile(`${file}.draft`, 'half');
  await world.compute.deleteBackup(world.op(owner), backup.id);
  await world.sweep();
  await expectNothingLeft();
});
