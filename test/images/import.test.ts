import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Image } from '../../src/domains/machines/index.ts';
import { must } from '../../src/platform/run.ts';
import { eventually } from '../harness/agent.ts';
import { dockerArchive, imageOf, isThere, ociArchive, ociArchiveOfMany, tinyTree } from './archive.ts';
import { imagesWorld, sent } from './images-world.ts';

const TIMEOUT = { timeout: 120_000 };

const world = imagesWorld();
let tree: string;
let upper: string;

beforeAll(async () => {
  tree = await tinyTree();
  // A second layer: it takes a file of the first away, adds some of strange kinds, and owners other than root.
  upper = await mkdtemp(join(tmpdir(), 'freehold-upper-'));
  await mkdir(join(upper, 'bin'));
  await writeFile(join(upper, 'bin/.wh.seq'), '');
  await mkdir(join(upper, 'data'));
  await writeFile(join(upper, 'data/file'), 'of layer two\n', { mode: 0o640 });
  await must(['chown', '33:65535', join(upper, 'data/file')]);
  await writeFile(join(upper, 'bin/raised'), '#!/bin/sh\n');
  await must(['chmod', '4755', join(upper, 'bin/raised')]);
  await symlink('/tmp/elsewhere', join(upper, 'run'));
  await symlink('/', join(upper, 'home'));
  await mkdir(join(upper, 'etc'));
  await writeFile(join(upper, 'etc/resolv.conf'), 'nameserver 6.6.6.6\n');
  await writeFile(join(upper, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/:/bin/sh\n');
});
afterAll(() => Promise.all([tree, upper].map((directory) => rm(directory, { recursive: true }))));

async function uploaded(content: Buffer, name = 'mine'): Promise<Image> {
  const op = world.asOwner();
  await world.images.upload(op, { name }, sent(content));
  await world.build();
  return world.images.get(op, name);
}

describe('an image archive', () => {
  test(
    'becomes an image with all its layers, owners and modes, and machines start from it by its name',
    TIMEOUT,
    async () => {
      const config = { Env: ['GREETING=hello world', 'PATH=/opt/bin:/bin:/usr/bin'], WorkingDir: '/data', Cmd: ['id'] };
      const image = await uploaded(await ociArchive(await imageOf([tree, upper], config)));
      expect(image).toMatchObject({
        state: 'ready',
        failure: undefined,
        config: { env: { GREETING: 'hello world', PATH: '/opt/bin:/bin:/usr/bin' }, workdir: '/data', cmd: ['id'] },
      });
      expect(image.bytes).toBeGreaterThan(1_000_000);
      const script = `stat -c '%n %u %g %a' /data/file /bin/raised /tmp /home/user /run /root
      cat /data/file; ls /bin/seq; echo "$GREETING $PATH"; id -un; id -u; cat /etc/resolv.conf; [ -L /run ] || echo own`;
      const printed = await world.printed(image, `{ ${script}\n} 2>&1`);
      expect(printed.split('\n')).toEqual(
        expect.arrayContaining([
          '/data/file 33 65535 640',
          '/bin/raised 0 0 4755',
          '/tmp 0 0 1777',
          '/home/user 1000 1000 755',
          '/root 0 0 700',
          'hello world /opt/bin:/bin:/usr/bin',
          'user',
          '1000',
          'own',
        ]),
      );
      expect(printed).toMatch(/cannot access '\/bin\/seq'/);
      expect(printed).not.toContain('6.6.6.6');
      expect(await world.images.log(world.asOwner(), 'mine')).toMatch(/Ready\.\n$/);
    },
  );

  test('may be one of Docker, packed with gzip', TIMEOUT, async () => {
    const image = await uploaded(gzipSync(await dockerArchive(await imageOf([tree], { User: '33' }))));
    expect(image).toMatchObject({ state: 'ready', config: { user: '33' } });
    expect(await world.printed(image, 'id -un')).toBe('user\n');
  });

  test(
    'may be for many platforms, have layers that are packed in any way, and hide what lies below',
    TIMEOUT,
    async () => {
      const layer = () => mkdtemp(join(tmpdir(), 'freehold-layer-'));
      const [below, above] = [await layer(), await layer()];
      await mkdir(join(below, 'kept/hidden'), { recursive: true });
      for (const name of ['kept/hidden/below', 'kept/file']) await writeFile(join(below, name), 'of layer two');
      await mkdir(join(above, 'kept/hidden'), { recursive: true });
      for (const name of ['kept/hidden/.wh..wh..opq', 'kept/hidden/above']) await writeFile(join(above, name), '');
      const image = await imageOf([tree, below, above], { Env: ['OF=many'] }, ['tar+gzip', 'tar+zstd', 'tar']);
      const made = await uploaded(await ociArchiveOfMany(image));
      expect(made.failure).toBeUndefined();
      expect(await world.printed(made, 'cat /kept/file; echo; ls -A /kept/hidden; echo $OF')).toBe(
        'of layer two\nabove\nmany\n',
      );
      await Promise.all([below, above].map((directory) => rm(directory, { recursive: true })));
    },
  );

  test(
    'that is none, has no shell or ends in the middle is told in a sentence, and the log says more',
    TIMEOUT,
    async () => {
      const op = world.asOwner();
      const nothing = await uploaded(Buffer.from('no archive at all'), 'nothing');
      expect(nothing).toMatchObject({
        state: 'failed',
        failure: 'The archive could not be read as an image; the log says why.',
      });
      expect(await world.images.log(op, 'nothing')).toContain('This is no image archive');
      const bare = await uploaded(await ociArchive(await imageOf([upper])), 'bare');
      expect(bare).toMatchObject({ state: 'failed', failure: 'The image has no shell: /bin/sh is missing.' });
      const whole = await ociArchive(await imageOf([tree]));
      expect(await uploaded(whole.subarray(0, whole.length / 2), 'half')).toMatchObject({ state: 'failed' });
      expect(await world.shelf.imageDir(bare.id)).toBeUndefined();
      await expect(world.images.resolve(world.owner, 'bare')).rejects.toMatchObject({ code: 'conflict' });
    },
  );

  test('lies on the host as files of the machines only, out of reach of its users', TIMEOUT, async () => {
    const image = await uploaded(await ociArchive(await imageOf([tree, upper])));
    const directory = (await world.shelf.imageDir(image.id)) ?? '';
    const { first } = world.host.options.ids;
    expect((await stat(join(directory, 'data/file'))).uid).toBe(first + 33);
    expect((await stat(directory)).uid).toBe(first);
    expect((await stat(join(directory, '../..'))).mode & 0o077).toBe(0);
    expect(await isThere(join(world.host.dataDir, 'images/sources', image.id))).toBe(false);
    expect(await isThere(join(world.host.dataDir, 'images/drafts', image.id))).toBe(false);
  });
});

describe('an image whose maker was killed', () => {
  test('is made by the next one, and nothing is left of the first attempt', TIMEOUT, async () => {
    const op = world.asOwner();
    const content = await ociArchive(await imageOf([tree]));
    const { id } = await world.images.upload(op, { name: 'mine' }, sent(content));
    const left = await world.started({ image: 'builder' });
    await world.shelf.draft({ id, machineId: left });
    const heldFor = (seconds: number) =>
      world.database.db.transact((tx) =>
        tx.query(`update images set machine_id = $1, held_until = now() + $2 * interval '1 second', attempts = 1`, [
          left,
          seconds,
        ]),
      );
    await heldFor(30);
    await world.build();
    expect(await world.images.get(op, id)).toMatchObject({ state: 'building', machineId: left });
    await heldFor(-1);
    await world.build();
    expect(await world.images.get(op, id)).toMatchObject({ state: 'ready', attempts: 2 });
    expect(await world.machines.get(world.op(), left)).toMatchObject({ state: 'destroyed' });
    expect(await world.machines.list(world.op())).toEqual([]);
    expect(await isThere(join(world.host.dataDir, 'images/drafts', id))).toBe(false);
  });
});

describe('an image whose maker was taken for dead and is not', () => {
  test('is left to the next one, with what was sent and what that one has made', TIMEOUT, async () => {
    const op = world.asOwner();
    const { id } = await world.images.upload(op, { name: 'mine' }, sent(await ociArchive(await imageOf([tree]))));
    const building = world.build();
    await eventually(
      () => world.machines.list(world.op()),
      (machines) => machines.length > 0,
    );
    const machineId = await world.started({ image: 'builder' });
    await world.database.db.transact((tx) =>
      tx.query(`update images set machine_id = $1, held_until = now() + interval '1 minute'`, [machineId]),
    );
    const { archive } = await world.shelf.draft({ id, machineId });
    await writeFile(archive, 'of the next one');
    await building;
    expect(await world.images.get(op, id)).toMatchObject({ state: 'building', machineId });
    expect(await readFile(archive, 'utf8')).toBe('of the next one');
    expect(await isThere(join(world.host.dataDir, 'images/sources', id))).toBe(true);
    expect(await world.shelf.imageDir(id)).toBeUndefined();
  });
});

describe('a removed image', () => {
  test('frees its name at once, and its files go when no machine stands on it', TIMEOUT, async () => {
    const op = world.asOwner();
    const content = await ociArchive(await imageOf([tree]));
    const image = await uploaded(content);
    const id = await world.started({ image: image.id });
    await world.images.remove(op, 'mine');
    await expect(world.images.get(op, image.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(world.images.resolve(world.owner, 'mine')).rejects.toMatchObject({ code: 'not_found' });
    world.clock.ahead += 11 * 60_000;
    await world.machines.extendLease(world.op(), id, new Date(world.clock.now().getTime() + 3_600_000));
    expect(await world.tend()).toBe(0);
    expect(await world.shelf.imageDir(image.id)).toBeDefined();
    await world.machines.destroy(world.op(), id);
    expect(await world.tend()).toBe(1);
    expect(await world.shelf.imageDir(image.id)).toBeUndefined();
    expect(await uploaded(content)).toMatchObject({ state: 'ready', name: 'mine' });
  });

  test('whose files cannot go now keeps those of no other', TIMEOUT, async () => {
    const op = world.asOwner();
    const content = await ociArchive(await imageOf([tree]));
    const [stuck, other] = [await uploaded(content), await uploaded(content, 'other')];
    await world.images.remove(op, 'mine');
    await world.images.remove(op, 'other');
    world.clock.ahead += 11 * 60_000;
    const { erase } = world.shelf;
    world.shelf.erase = async (key) => {
      if (key === stuck.id) throw new Error('EBUSY');
      await erase(key);
    };
    expect(await world.tend()).toBe(1);
    expect(await world.shelf.imageDir(other.id)).toBeUndefined();
    world.shelf.erase = erase;
    expect(await world.tend()).toBe(1);
    expect(await world.shelf.imageDir(stuck.id)).toBeUndefined();
  });
});
