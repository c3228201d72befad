import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { backupsWorld } from './backups-world.ts';
import { KEY } from './world.ts';

const { world, again, kept, backedUp, withServer, expectNothingLeft } = backupsWorld();
const HOURLY = 13_700n;

describe('a restored server', () => {
  test('begins with the disk of the backup, costs what any other costs, and leaves no copy on the host', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    await world.compute.destroy(world.op(owner), 'hourly', server.id);
    await world.sweep();
    const before = await world.available(owner);
    const { server: restored, rootPassword } = await world.compute.restore(world.op(owner), backup.id, {});
    expect(restored).toMatchObject({ state: 'provisioning', name: 'my-bot', plan: 'vc2-1c-1gb', region: 'ams' });
    expect(rootPassword).toMatch(/^[a-z1-9]{20}$/);
    expect(restored.id).not.toBe(server.id);
    await world.sweep();
    expect(await world.again(restored)).toMatchObject({ state: 'active', restoredFrom: undefined });
    expect(await world.available(owner)).toBe(before - HOURLY);
    const imported = world.driver.asked.filter((what) => what.startsWith('importSnapshot'));
    expect(imported).toEqual([expect.stringMatching(/^importSnapshot disk of snp_/)]);
    expect([...world.driver.copies]).toEqual([]);
    expect(await world.database.db.query(`select id from machine_snapshots`)).toEqual([]);
    expect(await again(owner, backup)).toMatchObject({ state: 'available' });
  });

  test('takes a key and a name, and is one too many where any server would be', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    const { server: restored, rootPassword } = await world.compute.restore(world.op(owner), backup.id, {
      sshKey: KEY,
      name: 'again',
    });
    expect([restored.name, rootPassword, restored.authorizedKeys.length]).toEqual(['again', undefined, 1]);
    for (let n = 0; n < 8; n++) await world.deployed(owner);
    await expect(world.compute.restore(world.op(owner), backup.id, {})).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('that nobody can pay is not made', async () => {
    const { owner, server } = await withServer(HOURLY);
    const backup = await backedUp(owner, server);
    await expect(world.compute.restore(world.op(owner), backup.id, {})).rejects.toMatchObject({ code: 'unaffordable' });
    expect(await world.compute.list(world.op(owner), 'hourly')).toHaveLength(1);
  });

  test.each([
    ['changed in one byte', (content: Buffer) => content.fill((content.at(9) ?? 0) ^ 1, 9, 10)],
    ['cut short', (content: Buffer) => content.subarray(0, content.length - 3)],
    ['longer', (content: Buffer) => Buffer.concat([content, Buffer.from('more')])],
    ['something else', () => Buffer.from('something else')],
    ['empty', () => Buffer.alloc(0)],
  ])('of a backup whose bytes are %s is in error, and its money is given back', async (_, damage) => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    const before = await world.available(owner);
    const [file = ''] = await kept();
    await writeFile(file, damage(await readFile(file)));
    const { server: restored } = await world.compute.restore(world.op(owner), backup.id, {});
    for (let n = 0; n < 4; n++) {
      await world.sweep();
      await world.abandon();
    }
    await world.sweep();
    expect(await world.again(restored)).toMatchObject({ state: 'error', failure: 'The backup is damaged.' });
    expect(await world.available(owner)).toBe(before);
    expect([...world.driver.copies]).toEqual([]);
    expect([...world.driver.present.keys()]).toEqual([server.machineId]);
  });

  test('needs its backup until it is there: one that is deleted meanwhile is kept so long', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    const { server: restored } = await world.compute.restore(world.op(owner), backup.id, {});
    await world.compute.deleteBackup(world.op(owner), backup.id);
    await world.compute.settleBackup(world.system(), backup.id);
    expect(await kept()).toHaveLength(1);
    await world.sweep();
    expect(await world.again(restored)).toMatchObject({ state: 'active' });
    await world.abandon();
    await world.sweep();
    await expectNothingLeft();
  });

  test('whose maker dies before the copy is removed leaves none', async () => {
    const { owner, server } = await withServer();
    const backup = await backedUp(owner, server);
    const { server: restored } = await world.compute.restore(world.op(owner), backup.id, {});
    const dying = world.over({ machines: { removeSnapshot: () => Promise.reject(new Error('the process died')) } });
    await dying.settle(world.system(), restored.id);
    expect(await world.again(restored)).toMatchObject({ state: 'active' });
    expect([...world.driver.copies]).toHaveLength(1);
    await world.abandon();
    await world.sweep();
    expect([...world.driver.copies]).toEqual([]);
    expect(await world.again(restored)).toMatchObject({ state: 'active', restoredFrom: undefined });
  });
});
