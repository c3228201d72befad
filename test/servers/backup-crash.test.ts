import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { mortalServer, type MortalServer } from '../harness/mortal-server.ts';

const PATIENCE_MS = 150_000;
/** While the disk is copied, and while the copy is kept. */
const KILLED_AFTER_MS = [250, 900];

let world: MortalServer;
beforeAll(async () => void (world = await mortalServer('backup-crash', { cents: 100 })), 900_000);
afterAll(() => world?.dispose(), 60_000);

const filesBelow = async (folder: string): Promise<string[]> =>
  (await readdir(join(world.dataDir, folder), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

test('backups and restores, two of one backup at once, whose process is killed in the middle are finished by the next, with nothing left over', async () => {
  const { call, me, active } = world;
  const order = { label: 'one', planId: 'vc2-1c-1gb', regionId: 'ams', sshKey: me.publicKey };
  const first = (await call('POST', '/servers', order)).body.server;
  const access = await active(first.id);
  const sum = (await me.ssh(access, 'head -c 200000000 /dev/urandom > /srv/random; sync; sha256sum < /srv/random'))
    .text;
  expect(sum).toMatch(/^[0-9a-f]{64} /);

  for (const afterMs of KILLED_AFTER_MS) {
    const { backup } = (await call('POST', '/backups', { serverId: first.id })).body;
    await world.killedAndBack(afterMs);
    const shown = async () =>
      (await call('GET', '/backups')).body.backups.find(({ id }: { id: string }) => id === backup.id);
    const made = await eventually(shown, ({ status }) => status !== 'PENDING', PATIENCE_MS);
    expect(made).toMatchObject({ status: 'AVAILABLE', error: null });
    // Frozen by the one that was killed, it goes on.
    await me.trust(access);
    expect((await me.ssh(access, 'echo here')).text).toBe('here');

    const restore = async () =>
      (await call('POST', `/backups/${backup.id}/restore`, { sshKey: me.publicKey })).body.server.id;
    const restored: string[] = await Promise.all([restore(), restore()]);
    await world.killedAndBack(afterMs);
    for (const id of restored) {
      expect((await me.ssh(await active(id), 'sha256sum < /srv/random')).text).toBe(sum);
      await call('DELETE', `/servers/${id}`);
    }
    expect(await filesBelow('blobs')).toHaveLength(1);
    await call('DELETE', `/backups/${backup.id}`);
    await eventually(
      async () => [...(await filesBelow('blobs')), ...(await filesBelow('snapshots'))],
      (left) => left.length === 0,
      PATIENCE_MS,
    );
  }
  await world.destroyed(first.id);
}, 800_000);
