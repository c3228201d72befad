import type { EscrowId, GridTaskId, ListingId, NodeId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { GridTask, GridTaskStatus, Via } from './task.ts';

type Row = {
  id: GridTaskId;
  skill_id: ListingId;
  buyer_id: NodeId;
  seller_id: NodeId;
  escrow_id: EscrowId | null;
  input: Record<string, unknown>;
  output: unknown;
  proof_hash: string | null;
  proof_matches: boolean | null;
  status: GridTaskStatus;
  shadow: boolean;
  via: Via;
  integration: string | null;
  callback_url: string | null;
  deadline_at: Date | null;
  validator_ids: string[];
  created_at: Date;
  completed_at: Date | null;
};

const COLUMNS = `t.id, t.skill_id, t.buyer_id, t.seller_id, t.escrow_id, t.input, t.output, t.proof_hash, t.proof_matches,
  t.status, t.shadow, t.via, t.integration, t.callback_url, t.deadline_at, t.validator_ids, t.created_at, t.completed_at`;

/** False where the buyer has one under this key already. */
export async function insertTask(tx: Tx, task: GridTask, idempotencyKey: string | undefined): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_tasks (id, skill_id, buyer_id, seller_id, escrow_id, input, status, shadow, via, callback_url,
                             deadline_at, validator_ids, created_at, idempotency_key, integration)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
     on conflict do nothing returning 1`,
    [
      task.id,
      task.skillId,
      task.buyerId,
      task.sellerId,
      task.escrowId,
      JSON.stringify(task.input),
      task.status,
      task.shadow,
      task.via,
      task.callbackUrl,
      task.deadlineAt,
      task.validatorIds,
      task.createdAt,
      idempotencyKey ?? null,
      task.integration,
    ],
  );
  return rows.length === 1;
}

export async function findTask(db: Db, id: GridTaskId): Promise<GridTask | undefined> {
  const [row] = await db.query<Row>(`select ${COLUMNS} from grid_tasks t where t.id = $1`, [id]);
  return row && taskOf(row);
}

export async function findTaskByKey(db: Db, buyer: NodeId, key: string): Promise<GridTask | undefined> {
  const [row] = await db.query<Row>(
    `select ${COLUMNS} from grid_tasks t where t.buyer_id = $1 and t.idempotency_key = $2`,
    [buyer, key],
  );
  return row && taskOf(row);
}

export async function findTaskOfEscrow(db: Db, escrow: EscrowId): Promise<GridTask | undefined> {
  const [row] = await db.query<Row>(`select ${COLUMNS} from grid_tasks t where t.escrow_id = $1`, [escrow]);
  return row && taskOf(row);
}

/** Which side of its tasks a node asks for. */
export type Role = 'seller' | 'buyer' | 'any';
export type Listed = GridTask & { skillLabel: string };
/** A task with where it stands in its list, and how many bytes what was given and what came of it have. */
export type ListedRow = { task: Listed; seq: bigint; bytes: number };

/**
 * A node's tasks in one status behind one of them, the oldest first. Which they are is found in the order of an index for
 * each side, so that nothing is read of what is not on this page; no node is on both sides of a task.
 */
export async function listTasks(
  db: Db,
  node: NodeId,
  which: { status: string; role: Role; after: bigint; limit: number },
): Promise<ListedRow[]> {
  const sides = which.role === 'any' ? (['seller', 'buyer'] as const) : [which.role];
  const page = sides.map(
    (side) =>
      `(select id, seq from grid_tasks where ${side}_id = $1 and status = $2 and seq > $3 order by seq limit $4)`,
  );
  const rows = await db.query<Row & { label: string; seq: bigint; bytes: number }>(
    `with page as materialized (select * from (${page.join(' union all ')}) sides order by seq limit $4)
     select ${COLUMNS}, s.label, t.seq,
            octet_length(t.input::text) + coalesce(octet_length(t.output::text), 0) as bytes
       from page join grid_tasks t on t.id = page.id join grid_skills s on s.id = t.skill_id
      order by page.seq`,
    [node, which.status, which.after, which.limit],
  );
  return rows.map((row) => ({ task: { ...taskOf(row), skillLabel: row.label }, seq: row.seq, bytes: row.bytes }));
}

/** How many tasks a node has ordered, has delivered, and has still to do. */
export type TaskCounts = { purchased: number; delivered: number; open: number };

export async function countTasks(db: Db, node: NodeId): Promise<TaskCounts> {
  const [row] = await db.query<{ purchased: bigint; delivered: bigint; open: bigint }>(
    `select count(*) filter (where buyer_id = $1) as purchased,
            count(*) filter (where seller_id = $1 and completed_at is not null) as delivered,
            count(*) filter (where status in ('OPEN', 'IN_PROGRESS')) as open
       from grid_tasks where (buyer_id = $1 or seller_id = $1) and not shadow`,
    [node],
  );
  return {
    purchased: Number(row?.purchased ?? 0n),
    delivered: Number(row?.delivered ?? 0n),
    open: Number(row?.open ?? 0n),
  };
}

/** Claims a task that nobody works at; false where somebody does. */
export async function claimOpen(tx: Tx, id: GridTaskId, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update grid_tasks set status = 'IN_PROGRESS', claimed_at = $2 where id = $1 and status = 'OPEN' returning 1`,
    [id, now],
  );
  return rows.length === 1;
}

/** What a seller delivers. */
export type Delivery = { output: unknown; proofHash: string; proofMatches: boolean };

/** Takes a delivery for a task that is still to be done; undefined where it is not. */
export async function completeUndone(
  tx: Tx,
  id: GridTaskId,
  delivery: Delivery,
  now: Date,
): Promise<GridTask | undefined> {
  const [row] = await tx.query<Row>(
    `update grid_tasks t
        set status = 'COMPLETED', output = $2, proof_hash = $3, proof_matches = $4, completed_at = $5
      where t.id = $1 and t.status in ('OPEN', 'IN_PROGRESS')
     returning ${COLUMNS}`,
    [id, JSON.stringify(delivery.output), delivery.proofHash, delivery.proofMatches, now],
  );
  return row && taskOf(row);
}

/** Has the tasks of escrows go where their money went. */
export async function followEscrows(tx: Tx, escrowIds: readonly EscrowId[], status: GridTaskStatus): Promise<void> {
  await tx.query(`update grid_tasks set status = $2 where escrow_id = any ($1)`, [escrowIds, status]);
}

const taskOf = (row: Row): GridTask => ({
  id: row.id,
  skillId: row.skill_id,
  buyerId: row.buyer_id,
  sellerId: row.seller_id,
  escrowId: row.escrow_id,
  input: row.input,
  output: row.output,
  proofHash: row.proof_hash,
  proofMatches: row.proof_matches,
  status: row.status,
  shadow: row.shadow,
  via: row.via,
  integration: row.integration,
  callbackUrl: row.callback_url,
  deadlineAt: row.deadline_at,
  validatorIds: row.validator_ids,
  createdAt: row.created_at,
  completedAt: row.completed_at,
});
