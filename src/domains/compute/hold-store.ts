import type { AccountId, ServerId } from '../../kernel/ids.ts';
import type { Tx } from '../../platform/db.ts';
import type { Server } from './server.ts';
import { lockServer } from './store.ts';

export async function noteHold(tx: Tx, accountId: AccountId): Promise<void> {
  await tx.query(`insert into server_holds (account_id) values ($1) on conflict do nothing`, [accountId]);
}

export async function forgetHold(tx: Tx, accountId: AccountId): Promise<void> {
  await tx.query(`delete from server_holds where account_id = $1`, [accountId]);
}

/** The time for which the disks of an account's suspended servers are kept begins anew. */
export async function beginGrace(tx: Tx, accountId: AccountId, now: Date): Promise<void> {
  await tx.query(`update servers set suspended_at = $2 where account_id = $1 and state = 'suspended'`, [
    accountId,
    now,
  ]);
}

/**
 * A server that is on or being made although its account is held, locked; what another has in hand is left to it.
 * `besides` are those that could not be done just now.
 */
export async function lockHeld(tx: Tx, besides: readonly ServerId[]): Promise<Server | undefined> {
  const [row] = await tx.query<{ id: ServerId }>(
    `select s.id from server_holds h join servers s on s.account_id = h.account_id
      where s.state in ('active', 'provisioning') and s.id <> all ($1::uuid[])
      order by s.seq
      limit 1
        for update of s skip locked`,
    [besides],
  );
  return row && lockServer(tx, row.id);
}
