import type { NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { LEVELS } from './levels.ts';

/** Says that something has happened that the index of these nodes depends on. */
export async function markOutdated(tx: Tx, ids: readonly NodeId[]): Promise<void> {
  await tx.query(`insert into grid_outdated (node_id) select unnest($1::text[])`, [ids]);
}

/** Nodes whose index is to be computed again: what happened, or a day has gone. */
export async function nodesToRefresh(db: Db, before: Date, limit: number): Promise<NodeId[]> {
  const rows = await db.query<{ id: NodeId }>(
    `select distinct id from (
       (select node_id as id from grid_outdated order by seq limit $2)
       union all
       (select id from grid_nodes where active and cri_outdated order by cri_at limit $2)
       union all
       (select id from grid_nodes where active and not cri_outdated and cri_at < $1 order by cri_at limit $2)) due
     limit $2`,
    [before, limit],
  );
  return rows.map(({ id }) => id);
}

/**
 * Says of these nodes that their index is being computed, and holds their rows until the transaction ends. What is marked
 * by a transaction that commits later stays marked: whoever reads what has happened after this has not seen it.
 */
export async function claimRefresh(tx: Tx, ids: readonly NodeId[], now: Date): Promise<NodeId[]> {
  const rows = await tx.query<{ id: NodeId }>(
    `update grid_nodes set cri_outdated = false, cri_at = $2 where id in (
       select id from grid_nodes where id = any ($1) and active order by id for no key update skip locked)
     returning id`,
    [ids, now],
  );
  const claimed = rows.map(({ id }) => id);
  // Of a node that is here no more nobody computes an index.
  await tx.query(
    `delete from grid_outdated o using grid_nodes n
      where o.node_id = any ($1) and n.id = o.node_id and (n.id = any ($2) or not n.active)`,
    [ids, claimed],
  );
  return claimed;
}

/** Keeps what an index has come to. Where it is the same, what strikes have taken since stays taken. */
export async function keepCri(tx: Tx, id: NodeId, score: number): Promise<void> {
  await tx.query(
    `update grid_nodes set reputation = case when cri = $2 then reputation else $2 end, cri = $2 where id = $1`,
    [id, score],
  );
}

export type StruckNode = { strikes: number; reputation: string };

/** One strike more, and a tenth of its reputation less. Undefined for a node that is banned. */
export async function strike(tx: Tx, id: NodeId): Promise<StruckNode | undefined> {
  const [row] = await tx.query<StruckNode>(
    `update grid_nodes set strikes = strikes + 1, reputation = round(reputation * 0.9, 2), cri_outdated = true
      where id = $1 and active
      returning strikes, reputation`,
    [id],
  );
  return row;
}

/** Waits for whoever is paying the node: what comes to it is there when this has returned, and nothing comes after. */
export async function ban(tx: Tx, id: NodeId, now: Date): Promise<void> {
  await tx.query(`select from grid_nodes where id = $1 for update`, [id]);
  await tx.query(`update grid_nodes set active = false, cri = 0, cri_at = $2, cri_outdated = false where id = $1`, [
    id,
    now,
  ]);
}

/** Takes a strike back, and a ban with it. What the strike took from its reputation comes back with the index. */
export async function takeStrikeBack(tx: Tx, id: NodeId, reinstated: boolean): Promise<number> {
  const [row] = await tx.query<{ strikes: number }>(
    `update grid_nodes set strikes = greatest(strikes - 1, 0), active = active or $2, cri_outdated = true
      where id = $1 returning strikes`,
    [id, reinstated],
  );
  return row?.strikes ?? 0;
}

/** Holds a node's row until the transaction ends: reports about it are decided one after the other. */
export async function lockNode(tx: Tx, id: NodeId): Promise<{ active: boolean; strikes: number } | undefined> {
  const [row] = await tx.query<{ active: boolean; strikes: number }>(
    `select active, strikes from grid_nodes where id = $1 for no key update`,
    [id],
  );
  return row;
}

/** Has a ban of this node wait until the transaction ends, as one does who pays it. Whoever spends does not wait. */
export async function keepFromBan(tx: Tx, id: NodeId): Promise<void> {
  await tx.query(`select from grid_nodes where id = $1 for key share`, [id]);
}

export type Ranked = { id: NodeId; spent: Tck; cri: number; genesis: boolean };

// The level of a node, so that who has come far stands before who has only spent much. An index has it word for word.
const LEVEL = `case ${LEVELS.toReversed()
  .map(({ id, spent, cri }) => `when spent >= ${spent} and cri >= ${cri} then ${id}`)
  .join(' ')} else 0 end`;

export const LEADERS = `
select id, spent, cri, genesis_rank is not null as genesis
  from grid_nodes where active and not sandbox
 order by ${LEVEL} desc, spent desc, seq limit $1 offset $2`;

export async function leaders(
  db: Db,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ rows: Ranked[]; total: number }> {
  const rows = await db.query<{ id: NodeId; spent: bigint; cri: string; genesis: boolean }>(LEADERS, [limit, offset]);
  const [counted] = await db.query<{ total: number }>(
    `select count(*)::int as total from grid_nodes where active and not sandbox`,
  );
  return {
    rows: rows.map(({ id, spent, cri, genesis }) => ({ id, spent: tck(spent), cri: Number(cri), genesis })),
    total: counted?.total ?? 0,
  };
}

export type Award = { rank: number; nodeId: NodeId; name: string | undefined; at: Date };
type AwardRow = { rank: number; id: NodeId; name: string | null; at: Date };

const awardOf = ({ rank, id, name, at }: AwardRow): Award => ({ rank, nodeId: id, name: name ?? undefined, at });

/** Who has the badge of a founder, the first one first. */
export async function genesisAwards(db: Db): Promise<Award[]> {
  const rows = await db.query<AwardRow>(
    `select n.genesis_rank as rank, n.id, e.node_name as name, n.genesis_at as at
       from grid_nodes n left join grid_early_access e on e.node_id = n.id
      where n.genesis_rank is not null order by n.genesis_rank`,
  );
  return rows.map(awardOf);
}

export async function pioneerAwards(db: Db): Promise<Award[]> {
  const rows = await db.query<AwardRow>(
    `select n.pioneer_rank as rank, n.id, null as name, n.pioneer_at as at
       from grid_nodes n where n.pioneer_rank is not null order by n.pioneer_rank`,
  );
  return rows.map(awardOf);
}
