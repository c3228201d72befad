import { AppError } from '../../../kernel/errors.ts';
import { secretBytes, type Op } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import type { GridWorld } from '../world.ts';
import { SHARE_LIFE, type Share, type Trade } from './sandbox.ts';
import { findShare, forgetShares, insertShare } from './store.ts';

const ID_BYTES = 4;
/** Shares that one run of the sweep forgets. */
const BATCH = 1_000;
/** A name is one of four thousand million: the first is free unless very many are taken. */
const MAX_TRIES = 5;
export const SHARE_ID_PATTERN = /^[0-9a-f]{8}$/;

/** Keeps what somebody shows of a trade, under a name by which it is found. */
export async function share({ db }: Pick<GridWorld, 'db'>, op: Op, trade: Trade): Promise<Share> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const id = secretBytes(op, `share ${attempt}`).subarray(0, ID_BYTES).toString('hex');
    const made = { id, trade, createdAt: op.now };
    if (await db.transact((tx) => insertShare(tx, made))) return made;
    // Under the request's own key its name may be taken by its first try.
    const earlier = op.seed && (await findShare(db, id));
    if (earlier) return earlier;
  }
  throw new AppError('at_capacity', 'No name is free for this trade');
}

/** Throws `not_found`. */
export async function findShared({ db }: Pick<GridWorld, 'db'>, id: string): Promise<Share> {
  const found = SHARE_ID_PATTERN.test(id) ? await findShare(db, id) : undefined;
  if (!found) throw new AppError('not_found', 'This shared trade does not exist');
  return found;
}

/** Anybody may have a trade shown, so none is shown for ever. Answers how many were forgotten. */
export const forgetOld = ({ db }: Pick<GridWorld, 'db'>, op: Op): Promise<number> =>
  db.transact((tx) => forgetShares(tx, after(op.now, -SHARE_LIFE), BATCH));
