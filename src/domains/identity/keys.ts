import { AppError } from '../../kernel/errors.ts';
import type { KeyId } from '../../kernel/ids.ts';
import { newId, type AccountOp } from '../../kernel/op.ts';
import type { Database, Db } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { keyOf, makeKey, secretOf, type Key, type KeyWish, type MintedKey } from './key.ts';
import { mayHaveOneMoreKey, mayMint } from './policy.ts';
import { activeKeysOf, findKey, insertKey, lockAccount, markRevoked } from './store.ts';

/** Makes a key for the caller's account. Throws `forbidden` for more than the caller's own key may, `conflict` for too many. */
export async function mintKey(db: Database, op: AccountOp, wish: KeyWish): Promise<MintedKey> {
  const { accountId } = op.actor;
  mayMint(op.actor, wish.scopes);
  return db.transact(async (tx) => {
    await lockAccount(tx, accountId);
    const earlier = op.seed && (await findKey(tx, newId(op, 'key')));
    if (earlier) return { ...keyOf(earlier), secret: secretOf(op, wish) };
    mayHaveOneMoreKey((await activeKeysOf(tx, accountId)).length);
    const { row, secret } = makeKey(op, accountId, wish);
    await insertKey(tx, row);
    const { prefix, scopes } = row;
    await recordFact(tx, op, { type: 'key.minted', subject: row.id, accountId, data: { prefix, scopes } });
    return { ...keyOf(row), secret };
  });
}

/** The caller's keys that still open something, oldest first. */
export const listKeys = async (db: Db, op: AccountOp): Promise<Key[]> =>
  (await activeKeysOf(db, op.actor.accountId)).map(keyOf);

/** Ends a key for good; every later request with it is refused. Throws `not_found` for a key that is not the caller's. */
export async function revokeKey(db: Database, op: AccountOp, id: KeyId): Promise<void> {
  const { accountId } = op.actor;
  await db.transact(async (tx) => {
    const row = await findKey(tx, id);
    if (row?.account_id !== accountId) throw new AppError('not_found', 'API key not found');
    if (!(await markRevoked(tx, id, op.now))) return;
    await recordFact(tx, op, { type: 'key.revoked', subject: id, accountId, data: { prefix: row.prefix } });
  });
}
