import type { ListingId, NodeId } from '../../../kernel/ids.ts';
import { tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';
import { DELIVERED, STANDS_DISPUTED } from '../escrow/standing-store.ts';
import { levelOf } from '../reputation/levels.ts';
import type { Founder, SkillRecord } from './portrait.ts';

export async function recordOf(db: Db, id: ListingId): Promise<SkillRecord> {
  const [row] = await db.query<{ delivered: number; disputed: number; buyers: number; turnover: bigint }>(
    `select count(*) filter (where ${DELIVERED})::int as delivered,
            count(*) filter (where ${STANDS_DISPUTED})::int as disputed,
            count(distinct t.buyer_id) filter (where e.state = 'SETTLED')::int as buyers,
            coalesce(sum(e.amount) filter (where e.state = 'SETTLED'), 0)::bigint as turnover
       from grid_tasks t join grid_escrows e on e.id = t.escrow_id
      where t.skill_id = $1 and not t.shadow`,
    [id],
  );
  if (!row) return { delivered: 0, disputed: 0, buyers: 0, turnover: tck(0n) };
  return { ...row, turnover: tck(row.turnover) };
}

type FounderRow = {
  rank: number;
  id: NodeId;
  name: string | null;
  at: Date;
  active: boolean;
  cri: string;
  spent: bigint;
  sold: number;
};

/** The founders, the first one first, with their index as lists see it. */
export async function findFounders(db: Db): Promise<Founder[]> {
  const rows = await db.query<FounderRow>(
    `select n.genesis_rank as rank, n.id, e.node_name as name, n.genesis_at as at, n.active, n.cri, n.spent,
            (select count(*)::int from grid_escrows s where s.seller_id = n.id and s.state = 'SETTLED') as sold
       from grid_nodes n left join grid_early_access e on e.node_id = n.id
      where n.genesis_rank is not null order by n.genesis_rank`,
  );
  return rows.map(({ rank, id, name, at, active, cri, spent, sold }) => ({
    rank,
    nodeId: id,
    name: name ?? undefined,
    at,
    active,
    cri: Number(cri),
    level: levelOf(tck(spent), Number(cri)),
    sold,
  }));
}
