import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { baseOf } from '../reputation/cri.ts';
import type { Node } from './node.ts';

type NodeRow = {
  id: NodeId;
  account_id: AccountId;
  active: boolean;
  sandbox: boolean;
  strikes: number;
  cri: string;
  reputation: string;
  genesis_rank: number | null;
  genesis_at: Date | null;
  pioneer_rank: number | null;
  pioneer_at: Date | null;
  signup_token: string | null;
  canary_daily: bigint | null;
  canary_task: bigint | null;
  spent: bigint;
  created_at: Date;
  last_active_at: Date;
};

/** What `nodeOf` reads. */
const NODE_COLUMNS = `id, account_id, active, sandbox, strikes, cri, reputation, genesis_rank, genesis_at, pioneer_rank,
  pioneer_at, signup_token, canary_daily, canary_task, spent, created_at, last_active_at`;

const badgeOf = (rank: number | null, at: Date | null) => (rank === null || at === null ? undefined : { rank, at });
const capOf = (amount: bigint | null) => (amount === null ? undefined : tck(amount));

const nodeOf = (row: NodeRow): Node => ({
  id: row.id,
  accountId: row.account_id,
  active: row.active,
  sandbox: row.sandbox,
  strikes: row.strikes,
  cri: Number(row.cri),
  reputation: Number(row.reputation),
  genesis: badgeOf(row.genesis_rank, row.genesis_at),
  pioneer: badgeOf(row.pioneer_rank, row.pioneer_at),
  signupToken: row.signup_token ?? undefined,
  canary: { daily: capOf(row.canary_daily), perTask: capOf(row.canary_task) },
  spent: tck(row.spent),
  createdAt: row.created_at,
  lastActiveAt: row.last_active_at,
});

export async function findNode(db: Db, id: NodeId): Promise<Node | undefined> {
  const [row] = await db.query<NodeRow>(`select ${NODE_COLUMNS} from grid_nodes where id = $1`, [id]);
  return row && nodeOf(row);
}

export async function findNodeOf(db: Db, accountId: AccountId): Promise<Node | undefined> {
  const [row] = await db.query<NodeRow>(`select ${NODE_COLUMNS} from grid_nodes where account_id = $1`, [accountId]);
  return row && nodeOf(row);
}

export async function findNodes(db: Db, ids: readonly NodeId[]): Promise<Node[]> {
  const rows = await db.query<NodeRow>(`select ${NODE_COLUMNS} from grid_nodes where id = any ($1)`, [ids]);
  return rows.map(nodeOf);
}

export type NewNode = {
  id: NodeId;
  accountId: AccountId;
  sandbox: boolean;
  signupToken: string | undefined;
  /** With whose key it was registered. */
  sandboxId?: NodeId | undefined;
  createdAt: Date;
};

/** False where the name, or the account, has a node already. */
export async function insertNode(tx: Tx, node: NewNode): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_nodes (id, account_id, sandbox, signup_token, created_at, last_active_at, cri_at, cri, reputation, sandbox_id)
     values ($1, $2, $3, $4, $5, $5, $5, $6, $6, $7)
     on conflict do nothing
     returning 1`,
    [
      node.id,
      node.accountId,
      node.sandbox,
      node.signupToken ?? null,
      node.createdAt,
      baseOf(node),
      node.sandboxId ?? null,
    ],
  );
  return rows.length > 0;
}

/** Writes down that a node was here, unless that was written after `unlessSince`. */
export async function markActive(tx: Tx, id: NodeId, at: Date, unlessSince: Date): Promise<void> {
  await tx.query(`update grid_nodes set last_active_at = $2 where id = $1 and last_active_at <= $3`, [
    id,
    at,
    unlessSince,
  ]);
}

export type Spending = {
  spent: bigint;
  locked_today: bigint;
  canary_daily: bigint | null;
  canary_task: bigint | null;
};

/**
 * Counts what a node spends, and how much of it is locked away today. Holds the node's row until the transaction ends,
 * so that of two that spend at once the second sees what the first has locked. Undefined for one that is banned.
 */
export async function countSpending(
  tx: Tx,
  id: NodeId,
  { amount, locked, now }: { amount: bigint; locked: bigint; now: Date },
): Promise<Spending | undefined> {
  const [row] = await tx.query<Spending>(
    `update grid_nodes
        set spent = spent + $2,
            locked_today = case when locked_on = ($4::timestamptz at time zone 'UTC')::date then locked_today else 0 end + $3,
            locked_on = ($4::timestamptz at time zone 'UTC')::date
      where id = $1 and active
      returning spent, locked_today, canary_daily, canary_task`,
    [id, amount, locked, now],
  );
  return row;
}

type Canary = Node['canary'];

/** Undefined for a node that is banned. */
export async function putCanary(
  tx: Tx,
  id: NodeId,
  { daily, perTask }: { daily?: Tck | null | undefined; perTask?: Tck | null | undefined },
): Promise<Canary | undefined> {
  const [row] = await tx.query<{ canary_daily: bigint | null; canary_task: bigint | null }>(
    `update grid_nodes
        set canary_daily = case when $2 then $3::bigint else canary_daily end,
            canary_task = case when $4 then $5::bigint else canary_task end
      where id = $1 and active
      returning canary_daily, canary_task`,
    [id, daily !== undefined, daily ?? null, perTask !== undefined, perTask ?? null],
  );
  return row && { daily: capOf(row.canary_daily), perTask: capOf(row.canary_task) };
}

/** What a node has under way and has done. Shadow tasks count for nothing. */
export type Activity = { purchased: number; completed: number; pendingEscrows: number };

export async function activityOf(db: Db, id: NodeId): Promise<Activity> {
  const [row] = await db.query<{ purchased: number; completed: number; pending: number }>(
    `select (select count(*)::int from grid_tasks where buyer_id = $1 and not shadow) as purchased,
            (select count(*)::int from grid_tasks
              where seller_id = $1 and not shadow and status in ('COMPLETED', 'SETTLED')) as completed,
            (select count(*)::int from grid_escrows
              where buyer_id = $1 and state in ('PENDING', 'AWAITING_SETTLEMENT')) as pending`,
    [id],
  );
  return { purchased: row?.purchased ?? 0, completed: row?.completed ?? 0, pendingEscrows: row?.pending ?? 0 };
}

/** What another system says of a node; what it leaves out stays. */
export async function putSynced(
  tx: Tx,
  node: {
    id: NodeId;
    keyHash?: string | undefined;
    reputation?: number | undefined;
    active?: boolean | undefined;
    ipAddress?: string | undefined;
  },
): Promise<void> {
  await tx.query(
    `update grid_nodes
        set key_hash = coalesce($2, key_hash), reputation = coalesce($3, reputation), active = coalesce($4, active),
            ip_address = coalesce($5, ip_address)
      where id = $1`,
    [node.id, node.keyHash ?? null, node.reputation ?? null, node.active ?? null, node.ipAddress ?? null],
  );
}

export async function findKeyHash(db: Db, id: NodeId): Promise<string | undefined> {
  const [row] = await db.query<{ key_hash: string | null }>(`select key_hash from grid_nodes where id = $1`, [id]);
  return row?.key_hash ?? undefined;
}

/** False where somebody has taken the hash before. */
export async function takeKeyHash(tx: Tx, id: NodeId, hash: string): Promise<boolean> {
  const rows = await tx.query(`update grid_nodes set key_hash = null where id = $1 and key_hash = $2 returning 1`, [
    id,
    hash,
  ]);
  return rows.length > 0;
}
