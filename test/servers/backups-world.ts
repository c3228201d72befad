import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Backup, Server } from '../../src/domains/compute/index.ts';
import type { AccountId } from '../../src/kernel/ids.ts';
import { serversWorld } from './world.ts';

/** What an account has that wants for nothing. */
export const RICH = 10_000_000n;

/** The world of servers, with what tests of backups do in it. */
export function backupsWorld() {
  const world = serversWorld();
  const backups = (owner: AccountId): Promise<Backup[]> => world.compute.backups(world.op(owner));
  const again = async (owner: AccountId, { id }: Backup): Promise<Backup | undefined> =>
    (await backups(owner)).find((one) => one.id === id);
  /** Names of all that is kept, whole or half. */
  const kept = async (): Promise<string[]> =>
    (await readdir(world.blobFolder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
  async function backedUp(owner: AccountId, server: Server): Promise<Backup> {
    const backup = await world.compute.backUp(world.op(owner), server.id);
    await world.sweep();
    const made = await again(owner, backup);
    expect(made).toMatchObject({ state: 'available' });
    return made as Backup;
  }
  async function withServer(micros = RICH): Promise<{ owner: AccountId; server: Server }> {
    const owner = await world.account(micros);
    return { owner, server: await world.active(owner) };
  }
  async function expectNothingLeft(): Promise<void> {
    expect(await kept()).toEqual([]);
    expect([...world.driver.copies]).toEqual([]);
    expect(await world.database.db.query(`select id from machine_snapshots`)).toEqual([]);
  }
  return { world, backups, again, kept, backedUp, withServer, expectNothingLeft };
}
