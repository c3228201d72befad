import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';

export type ChallengeRow = {
  node_id: NodeId;
  account_id: AccountId | null;
  sandbox_id: NodeId | null;
  network: string;
  payload: number[];
  tries: number;
  expires_at: Date;
};

/** Puts a challenge in the place of an earlier one for the same name. */
export async function putChallenge(tx: Tx, row: Omit<ChallengeRow, 'tries'>): Promise<void> {
  await tx.query(
    `insert into grid_challenges (node_id, account_id, sandbox_id, network, payload, expires_at)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (node_id) do update
       set account_id = excluded.account_id, sandbox_id = excluded.sandbox_id, network = excluded.network, payload = excluded.payload, tries = 0,
           expires_at = excluded.expires_at`,
    [row.node_id, row.account_id, row.sandbox_id, row.network, row.payload, row.expires_at],
  );
}

/** The challenge for a name, with one more try counted; of two that answer at once the second waits for the first. */
export async function takeTry(tx: Tx, nodeId: NodeId): Promise<ChallengeRow | undefined> {
  const [row] = await tx.query<ChallengeRow>(
    `update grid_challenges set tries = tries + 1 where node_id = $1
     returning node_id, account_id, sandbox_id, network, payload, tries, expires_at`,
    [nodeId],
  );
  return row;
}

export async function deleteChallenge(tx: Tx, nodeId: NodeId): Promise<void> {
  await tx.query(`delete from grid_challenges where node_id = $1`, [nodeId]);
}

/** Removes what expired before a moment and answers how many. */
export async function deleteExpiredChallenges(tx: Tx, before: Date): Promise<number> {
  return (await tx.query(`delete from grid_challenges where expires_at < $1 returning 1`, [before])).length;
}

export type EarlyAccessRow = { token: string; node_id: NodeId | null };

export async function findEarlyAccess(db: Db, token: string): Promise<EarlyAccessRow | undefined> {
  const [row] = await db.query<EarlyAccessRow>(`select token, node_id from grid_early_access where token = $1`, [
    token,
  ]);
  return row;
}

/** False where the token is linked to a node already. */
export async function linkEarlyAccess(tx: Tx, token: string, nodeId: NodeId): Promise<boolean> {
  const rows = await tx.query(
    `update grid_early_access set node_id = $2 where token = $1 and node_id is null returning 1`,
    [token, nodeId],
  );
  return rows.length > 0;
}

export type NewEarlyAccess = {
  token: string;
  email: string;
  nodeName: string | undefined;
  agentType: string | undefined;
  primaryCapability: string | undefined;
  whyJoining: string | undefined;
  createdAt: Date;
};

/** False where the same request has done it before. */
export async function insertEarlyAccess(tx: Tx, row: NewEarlyAccess): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_early_access (token, email, node_name, agent_type, primary_capability, why_joining, created_at)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning 1`,
    [
      row.token,
      row.email,
      row.nodeName ?? null,
      row.agentType ?? null,
      row.primaryCapability ?? null,
      row.whyJoining ?? null,
      row.createdAt,
    ],
  );
  return rows.length > 0;
}
