import { shownOf } from './kept.ts';
import { isLiving } from './policy.ts';
import type { Sandbox } from './sandbox.ts';
import { findByCode, livingBefore } from './store.ts';
import type { SandboxesWorld } from './world.ts';

const BATCH = 500;

export async function byCode({ db }: SandboxesWorld, code: string): Promise<Sandbox | undefined> {
  const kept = await findByCode(db, code);
  return kept && isLiving(kept) ? shownOf(kept) : undefined;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * The newest that fits. Tokens are not stored, so each is made and tried. Of those who want to know, also strangers, one
 * is looked for at a time.
 */
export function byAccessToken(
  world: SandboxesWorld,
  fits: (sandbox: Pick<Sandbox, 'id'>) => boolean,
): Promise<Sandbox | undefined> {
  const search = last.then(() => searchLiving(world, fits));
  last = search.catch(() => {}); // told to whoever searched
  return search;
}

async function searchLiving(
  world: SandboxesWorld,
  fits: (sandbox: Pick<Sandbox, 'id'>) => boolean,
): Promise<Sandbox | undefined> {
  for (let before: bigint | undefined; ;) {
    const batch = await livingBefore(world.db, before, BATCH);
    const found = batch.find(fits);
    if (found) return byCode(world, found.code);
    if (batch.length < BATCH) return undefined;
    before = batch.at(-1)?.seq;
  }
}
