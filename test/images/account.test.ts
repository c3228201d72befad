import { describe, expect, test } from 'vitest';
import { taken } from '../../src/domains/machines/images/image-store.ts';
import { uuidv7, type AccountId } from '../../src/kernel/ids.ts';
import { accountOp } from '../harness/op.ts';
import { imagesWorld, sent } from './images-world.ts';

const world = imagesWorld();
const scratch = (name: string) => ({ name, from: { kind: 'dockerfile', text: 'FROM scratch' } }) as const;

describe("an account's images", () => {
  test('do not exist for others, whatever they are called', async () => {
    const image = await world.images.request(world.asOwner(), scratch('mine'));
    const other = accountOp(uuidv7(new Date()) as AccountId);
    for (const name of ['mine', image.id])
      for (const verb of [world.images.get, world.images.log, world.images.remove])
        await expect(verb(other, name)).rejects.toMatchObject({ code: 'not_found', message: 'Image not found' });
    await expect(world.images.resolve(other.actor.accountId, image.id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await world.images.list(other)).toEqual([]);
  });

  test('have names of their own: one that is taken, reserved or no name is refused', async () => {
    await world.images.request(world.asOwner(), scratch('mine'));
    await expect(world.images.request(world.asOwner(), scratch('mine'))).rejects.toMatchObject({ code: 'conflict' });
    for (const name of ['base', 'builder', 'ab', 'Mine', '-mine', 'mine-', 'a b', 'x'.repeat(64)])
      await expect(world.images.request(world.asOwner(), scratch(name))).rejects.toMatchObject({ code: 'invalid' });
  });

  test('of one name that are asked for at once: one is made', async () => {
    const asked = await Promise.allSettled(
      Array.from({ length: 5 }, () => world.images.request(world.asOwner(), scratch('mine'))),
    );
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('that are made at the same time are few', async () => {
    for (const name of ['one', 'two', 'three']) await world.images.request(world.asOwner(), scratch(name));
    await expect(world.images.request(world.asOwner(), scratch('four'))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('asked for twice under one key are one', async () => {
    const op = { ...world.asOwner(), seed: Buffer.alloc(32, 3) };
    const first = await world.images.request(op, scratch('mine'));
    expect((await world.images.request(op, scratch('mine'))).id).toBe(first.id);
  });

  test('cannot be started from before they are there, and the builder image never', async () => {
    await world.images.request(world.asOwner(), scratch('mine'));
    await expect(world.images.resolve(world.owner, 'mine')).rejects.toMatchObject({
      code: 'conflict',
      message: 'The image is still being made.',
    });
    expect(await world.images.resolve(world.owner, 'base')).toBe('base');
    await expect(world.images.resolve(world.owner, 'builder')).rejects.toMatchObject({ code: 'not_found' });
    await expect(world.machines.start(world.asOwner(), world.request({ image: 'builder' }))).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  test('that are uploaded without end are refused, and nothing is kept of them', async () => {
    async function* broken() {
      yield Buffer.from('some');
      throw new Error('the caller is gone');
    }
    await expect(world.images.upload(world.asOwner(), { name: 'mine' }, broken())).rejects.toThrow('gone');
    expect(await world.shelf.keys()).toEqual([]);
    expect(await world.images.list(world.asOwner())).toEqual([]);
  });

  test('are sent few at a time', async () => {
    const goOn = Promise.withResolvers<void>();
    async function* slow() {
      yield Buffer.from('some');
      await goOn.promise;
    }
    const upload = (name: string) => world.images.upload(world.asOwner(), { name }, slow());
    const sending = ['one', 'two', 'three'].map(upload);
    await expect(upload('four')).rejects.toMatchObject({ code: 'conflict' });
    goOn.resolve();
    await Promise.all(sending);
  });

  test('that are removed go on to fill the account’s share while anything stands on their files', async () => {
    const { db } = world.database;
    const { id } = await world.images.request(world.asOwner(), scratch('mine'));
    await db.query(`update images set state = 'ready', bytes = 5000, files = 1, config = '{}' where id = $1`, [id]);
    await db.query(
      `insert into machine_snapshots (id, account_id, machine_id, place, copy, image, vcpus, memory_mb, disk_gb, pids, created_at, bytes)
       values ('snp_x', $1, 'mch_x', 'nowhere', 'snp_x', $2, 1, 64, 1, 64, now(), 1)`,
      [world.owner, id],
    );
    expect(await taken(db, world.owner)).toEqual({ images: 1, listed: 1, building: 0, bytes: 5_000 });
    await world.images.remove(world.asOwner(), id);
    expect(await taken(db, world.owner)).toEqual({ images: 0, listed: 0, building: 0, bytes: 5_000 });
    await db.query(`delete from machine_snapshots`);
    expect(await taken(db, world.owner)).toEqual({ images: 0, listed: 0, building: 0, bytes: 0 });
  });

  test('whose making was interrupted again and again are told to have failed', async () => {
    const op = world.asOwner();
    await world.images.upload(op, { name: 'mine' }, sent(Buffer.from('x')));
    const gone = AbortSignal.abort();
    // Put back each time, as when the server stops: that does not count.
    for (let stop = 0; stop < 4; stop++) await world.build(gone).catch(() => {});
    expect(await world.images.get(op, 'mine')).toMatchObject({ state: 'building', attempts: 0 });
    await world.database.db.transact((tx) => tx.query(`update images set attempts = 3`));
    await world.build();
    expect(await world.images.get(op, 'mine')).toMatchObject({
      state: 'failed',
      failure: 'The making of the image was interrupted several times.',
    });
  });
});
