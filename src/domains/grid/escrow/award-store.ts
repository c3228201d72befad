import type { NodeId } from '../../../kernel/ids.ts';
import type { Tx } from '../../../platform/db.ts';

/** Those of the nodes that signed up early and have no badge, locked in the order of their names. */
export async function lockNewGenesis(tx: Tx, nodes: readonly NodeId[]): Promise<Set<NodeId>> {
  const rows = await tx.query<{ id: NodeId }>(
    `select id from grid_nodes
      where id = any ($1) and active and signup_token is not null and genesis_rank is null
      order by id for no key update`,
    [nodes],
  );
  return new Set(rows.map(({ id }) => id));
}

/**
 * Those of the nodes that have settled so many jobs of one verification skill, none of them by the operator's word or for
 * play money, and are no pioneers yet; locked in the order of their names.
 */
export async function lockNewPioneers(tx: Tx, nodes: readonly NodeId[], jobs: number): Promise<NodeId[]> {
  const rows = await tx.query<{ id: NodeId }>(
    `select n.id from grid_nodes n
      where n.id = any ($1) and n.active and not n.sandbox and n.pioneer_rank is null
        and exists (select from grid_skills s
                     where s.node_id = n.id and s.category = 'verification'
                       and (select count(*) from grid_tasks t join grid_escrows e on e.id = t.escrow_id
                             where t.skill_id = s.id and t.status = 'SETTLED' and e.reason is null and not e.sandbox) >= $2)
      order by n.id for no key update`,
    [nodes, jobs],
  );
  return rows.map(({ id }) => id);
}

/** How many seats are taken. Whoever gives one waits here for whoever gave one last. */
export async function lockRanks(tx: Tx): Promise<{ genesis: number; pioneers: number }> {
  await tx.query(`select pg_advisory_xact_lock(hashtext('grid ranks'))`);
  const [row] = await tx.query<{ genesis: number; pioneers: number }>(
    `select coalesce(max(genesis_rank), 0) as genesis, coalesce(max(pioneer_rank), 0) as pioneers from grid_nodes`,
  );
  return row ?? { genesis: 0, pioneers: 0 };
}

export async function giveGenesis(tx: Tx, node: NodeId, rank: number, now: Date): Promise<void> {
  await tx.query(`update grid_nodes set genesis_rank = $2, genesis_at = $3 where id = $1`, [node, rank, now]);
}

export async function givePioneer(tx: Tx, node: NodeId, rank: number, now: Date): Promise<void> {
  await tx.query(`update grid_nodes set pioneer_rank = $2, pioneer_at = $3 where id = $1`, [node, rank, now]);
}
