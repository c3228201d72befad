import type { EscrowId, NodeId } from '../../../kernel/ids.ts';
import type { Tx } from '../../../platform/db.ts';
import { MAX_STRIKES } from '../reputation/cri.ts';
import type { EscrowState } from './escrow.ts';

const BANNED = `not n.active and n.strikes >= ${MAX_STRIKES}`;

/**
 * Nothing keeps the money of an escrow `e` back. Not an anti-join, which might read every node there is: the node is only
 * looked up where there is one.
 */
export const NOT_HELD = `(e.held_for is null or not exists (select from grid_nodes n where n.id = e.held_for and ${BANNED}))`;

type Party = 'buyer' | 'seller';
export type Due = { id: EscrowId; to: NodeId; isBanned: boolean };

/**
 * Whom the money of these escrows goes to. None of them is banned from here to the end of the transaction: a ban waits for
 * it, and finds in the wallet what has come. Whoever spends does not wait.
 */
export async function payeesOf(tx: Tx, ids: readonly EscrowId[], party: Party): Promise<Due[]> {
  const rows = await tx.query<{ id: EscrowId; payee: NodeId; banned: boolean }>(
    `select e.id, n.id as payee, ${BANNED} as banned
       from grid_escrows e join grid_nodes n on n.id = e.${party}_id
      where e.id = any ($1) order by n.id for key share of n`,
    [ids],
  );
  return rows.map(({ id, payee, banned }) => ({ id, to: payee, isBanned: banned }));
}

/** Notes whom escrows in this state are held for. Answers those that were not held for it before. */
export async function keepHeld(tx: Tx, due: readonly Due[], state: EscrowState): Promise<EscrowId[]> {
  const rows = await tx.query<{ id: EscrowId }>(
    `with locked as (select id from grid_escrows where id = any ($1) and state = $3 order by id for update)
     update grid_escrows e set held_for = d.payee
       from locked join unnest($1::uuid[], $2::text[]) as d (id, payee) on d.id = locked.id
      where e.id = locked.id and e.held_for is distinct from d.payee
     returning e.id`,
    [due.map(({ id }) => id), due.map(({ to }) => to), state],
  );
  return rows.map(({ id }) => id);
}
