import { randomUUID } from 'node:crypto';
import type { Database } from '../../platform/db.ts';
import type { Claimable } from './claim-store.ts';

/** What somebody works on is his for so long after he last said so. */
const CLAIM_MS = 20_000;
const BEAT_MS = 5_000;

/** Works on a row that nobody else works on meanwhile. Undefined where there is nothing to do, or another is at it. */
export async function whileClaimed<Id, Item, Result>(
  db: Database,
  rows: Claimable<Id, Item>,
  id: Id,
  work: (item: Item, claim: string) => Promise<Result>,
): Promise<Result | undefined> {
  const claim = randomUUID();
  const item = await db.transact((tx) => rows.claim(tx, id, claim, CLAIM_MS));
  if (item === undefined) return undefined;
  const beat = setInterval(() => {
    db.transact((tx) => rows.stay(tx, id, claim, CLAIM_MS)).catch(() => {}); // then another takes it over
  }, BEAT_MS);
  try {
    return await work(item, claim);
  } finally {
    clearInterval(beat);
    await db.transact((tx) => rows.letGo(tx, id, claim));
  }
}
