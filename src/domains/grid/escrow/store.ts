import type { EscrowId, GridTaskId, NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { NOT_HELD } from './hold-store.ts';
import { TRANSITIONS, type Escrow, type EscrowEvent, type EscrowState } from './escrow.ts';

type Row = {
  id: EscrowId;
  buyer_id: NodeId;
  seller_id: NodeId;
  amount: bigint;
  state: EscrowState;
  sandbox: boolean;
  proof_hash: string | null;
  reason: string | null;
  refund_at: Date;
  settle_at: Date | null;
  settled_at: Date | null;
  created_at: Date;
};

const COLUMNS =
  'e.id, e.buyer_id, e.seller_id, e.amount, e.state, e.sandbox, e.proof_hash, e.reason, e.refund_at, e.settle_at, e.settled_at, e.created_at';

export type NewEscrow = Pick<
  Escrow,
  'id' | 'buyerId' | 'sellerId' | 'amount' | 'sandbox' | 'refundAt' | 'createdAt'
> & {
  idempotencyKey: string | undefined;
  ruled: boolean;
};

/** False where the buyer has one under this key already. */
export async function insertEscrow(tx: Tx, escrow: NewEscrow): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_escrows (id, buyer_id, seller_id, amount, state, sandbox, refund_at, created_at, idempotency_key, ruled)
     values ($1, $2, $3, $4, 'PENDING', $5, $6, $7, $8, $9)
     on conflict do nothing returning 1`,
    [
      escrow.id,
      escrow.buyerId,
      escrow.sellerId,
      escrow.amount,
      escrow.sandbox,
      escrow.refundAt,
      escrow.createdAt,
      escrow.idempotencyKey ?? null,
      escrow.ruled,
    ],
  );
  return rows.length === 1;
}

export async function findEscrow(db: Db, id: EscrowId): Promise<Escrow | undefined> {
  const [row] = await db.query<Row>(`select ${COLUMNS} from grid_escrows e where e.id = $1`, [id]);
  return row && escrowOf(row);
}

export async function findEscrowByKey(db: Db, buyer: NodeId, key: string): Promise<Escrow | undefined> {
  const [row] = await db.query<Row>(
    `select ${COLUMNS} from grid_escrows e where e.buyer_id = $1 and e.idempotency_key = $2`,
    [buyer, key],
  );
  return row && escrowOf(row);
}

type Changes = { settleAt?: Date; proofHash?: string };
/** An escrow that is to be moved, and why where that is to be kept. */
export type Move = { id: EscrowId; reason?: string };

/**
 * Moves those of the escrows that are where the event starts from, and answers them. Of two that move one, the second
 * waits for the first, sees what became of it, and moves nothing. They are locked in the order of their ids, so that
 * two batches never wait for each other.
 */
export async function moveEscrows(
  tx: Tx,
  event: EscrowEvent,
  moves: readonly Move[],
  now: Date,
  { settleAt, proofHash }: Changes = {},
): Promise<Escrow[]> {
  const { from, to } = TRANSITIONS[event];
  const ids = moves.map(({ id }) => id);
  const reasons = moves.map(({ reason }) => reason ?? null);
  const rows = await tx.query<Row>(
    `with locked as (select id from grid_escrows where id = any ($1) and state = $2 order by id for update)
     update grid_escrows e
        set state = $3, settled_at = case when $3 = 'SETTLED' then $4::timestamptz else e.settled_at end,
            settle_at = coalesce($5, e.settle_at), proof_hash = coalesce($6, e.proof_hash),
            reason = coalesce(m.reason, e.reason)
       from locked join unnest($1::uuid[], $7::text[]) as m (id, reason) on m.id = locked.id
      where e.id = locked.id
     returning ${COLUMNS}`,
    [ids, from, to, now, settleAt ?? null, proofHash ?? null, reasons],
  );
  return rows.map(escrowOf);
}

export async function moveEscrow(
  tx: Tx,
  event: EscrowEvent,
  move: Move,
  now: Date,
  changes: Changes = {},
): Promise<Escrow | undefined> {
  const [moved] = await moveEscrows(tx, event, [move], now, changes);
  return moved;
}

/** Has not failed a moment ago, and is not held. */
const NOT_WAITING = `(e.retry_at is null or e.retry_at <= $1) and ${NOT_HELD}`;

/** What nobody delivered against in time, the oldest first. */
export async function overdueEscrows(db: Db, now: Date, limit: number): Promise<EscrowId[]> {
  const rows = await db.query<{ id: EscrowId }>(
    `select id from grid_escrows e where e.state = 'PENDING' and e.refund_at <= $1 and ${NOT_WAITING}
      order by e.refund_at, e.id limit $2`,
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** How many wait for a delivery or for the end of their window, with this node on either side. */
export async function pendingEscrows(db: Db, node: NodeId): Promise<number> {
  const [row] = await db.query<{ count: bigint }>(
    `select count(*) as count from grid_escrows
      where (buyer_id = $1 or seller_id = $1) and state in ('PENDING', 'AWAITING_SETTLEMENT')`,
    [node],
  );
  return Number(row?.count ?? 0n);
}

/** An escrow whose window is over, with what it is judged by. */
export type Due = {
  escrow: Escrow;
  task: { id: GridTaskId; output: unknown; validatorIds: string[] } | undefined;
  metadata: Record<string, unknown>;
};

type DueRow = Row & {
  task_id: GridTaskId | null;
  output: unknown;
  validator_ids: string[] | null;
  metadata: Record<string, unknown> | null;
};

const DUE = `
  select ${COLUMNS}, t.id as task_id, t.output, t.validator_ids, s.metadata
    from grid_escrows e
    left join grid_tasks t on t.escrow_id = e.id
    left join grid_skills s on s.id = t.skill_id`;

/** Those without rules whose window is over, the longest first. */
export async function dueEscrows(db: Db, now: Date, limit: number): Promise<Due[]> {
  const rows = await db.query<DueRow>(
    `${DUE} where e.state = 'AWAITING_SETTLEMENT' and not e.ruled and e.settle_at <= $1 and ${NOT_WAITING}
      order by e.settle_at, e.id limit $2`,
    [now, limit],
  );
  return rows.map(dueOf);
}

/**
 * Those that have to be judged and whose window is over, of sandbox nodes or of all others. Nodes take turns, as sellers
 * and as buyers: both may have written rules that take their time, and have others wait for their own only.
 */
export async function dueForJudging(db: Db, now: Date, which: { sandbox: boolean; limit: number }): Promise<Due[]> {
  const rows = await db.query<DueRow>(
    `with waiting as (
       select e.id, e.settle_at,
              greatest(row_number() over (partition by e.seller_id order by e.settle_at, e.id),
                       row_number() over (partition by e.buyer_id order by e.settle_at, e.id)) as turn
         from grid_escrows e
        where e.state = 'AWAITING_SETTLEMENT' and e.ruled and e.sandbox = $2 and e.settle_at <= $1 and ${NOT_WAITING}),
     chosen as (select id, turn from waiting order by turn, settle_at, id limit $3)
     ${DUE} join chosen on chosen.id = e.id order by chosen.turn, e.settle_at, e.id`,
    [now, which.sandbox, which.limit],
  );
  return rows.map(dueOf);
}

export async function findDue(db: Db, id: EscrowId): Promise<Due | undefined> {
  const [row] = await db.query<DueRow>(`${DUE} where e.id = $1`, [id]);
  return row && dueOf(row);
}

/**
 * Has one that could not be ended wait, so that it does not stand in the way of those behind it. Its deadlines stay: what
 * can be objected to or delivered no more, cannot be again.
 */
export async function postpone(tx: Tx, id: EscrowId, until: Date): Promise<void> {
  await tx.query(
    `update grid_escrows set retry_at = $2 where id = $1 and state in ('PENDING', 'AWAITING_SETTLEMENT')`,
    [id, until],
  );
}

/** True for the first party that asks what a settled escrow came to. */
export async function askFirst(tx: Tx, id: EscrowId, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update grid_escrows set asked_at = $2 where id = $1 and state = 'SETTLED' and asked_at is null returning 1`,
    [id, now],
  );
  return rows.length === 1;
}

export const escrowOf = (row: Row): Escrow => ({
  id: row.id,
  buyerId: row.buyer_id,
  sellerId: row.seller_id,
  amount: tck(row.amount),
  state: row.state,
  sandbox: row.sandbox,
  proofHash: row.proof_hash,
  reason: row.reason,
  refundAt: row.refund_at,
  settleAt: row.settle_at,
  settledAt: row.settled_at,
  createdAt: row.created_at,
});

const dueOf = (row: DueRow): Due => ({
  escrow: escrowOf(row),
  task: row.task_id ? { id: row.task_id, output: row.output, validatorIds: row.validator_ids ?? [] } : undefined,
  metadata: row.metadata ?? {},
});
