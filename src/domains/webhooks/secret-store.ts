import { assert } from '../../kernel/errors.ts';
import type { AccountId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';

export type SecretRow = {
  account_id: AccountId;
  current: Buffer;
  created_at: Date;
  previous: Buffer | null;
  previous_until: Date | null;
};

export async function readSecret(db: Db, accountId: AccountId): Promise<SecretRow | undefined> {
  const [row] = await db.query<SecretRow>(`select * from webhook_secrets where account_id = $1`, [accountId]);
  return row;
}

/** The account's secret, locked against another rotation. There must be one. */
export async function lockSecret(tx: Tx, accountId: AccountId): Promise<SecretRow> {
  const [row] = await tx.query<SecretRow>(`select * from webhook_secrets where account_id = $1 for update`, [
    accountId,
  ]);
  assert(row, 'the account has a webhook secret');
  return row;
}

/** Does nothing where the account has one already. */
export async function insertSecret(tx: Tx, accountId: AccountId, sealed: Buffer, now: Date): Promise<void> {
  await tx.query(
    `insert into webhook_secrets (account_id, current, created_at) values ($1, $2, $3) on conflict do nothing`,
    [accountId, sealed, now],
  );
}

export async function replaceSecret(
  tx: Tx,
  accountId: AccountId,
  sealed: Buffer,
  now: Date,
  until: Date,
): Promise<SecretRow> {
  const [row] = await tx.query<SecretRow>(
    `update webhook_secrets
        set previous = current, previous_until = $4, current = $2, created_at = $3
      where account_id = $1
     returning *`,
    [accountId, sealed, now, until],
  );
  assert(row, 'the account has a webhook secret');
  return row;
}
