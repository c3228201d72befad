import type { AccountId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';

/** Trades: escrows that are settled, or soon will be. Those of sandbox nodes are played and count for nothing. */
const TRADES = `grid_escrows e join grid_nodes b on b.id = e.buyer_id
 where e.state in ('SETTLED', 'AWAITING_SETTLEMENT') and not b.sandbox`;

/** What has happened since a time. */
export type Summary = { nodes: number; skills: number; tasks: number; volume: Tck };

export async function summaryOf(db: Db, since: Date): Promise<Summary> {
  const [row] = await db.query<{ nodes: number; skills: number; tasks: number; volume: bigint }>(
    `select (select count(*)::int from grid_nodes where not sandbox and created_at >= $1) as nodes,
            (select count(*)::int from grid_skills s join grid_nodes n on n.id = s.node_id
              where n.active and not n.sandbox) as skills,
            (select count(*)::int from grid_tasks t join grid_nodes n on n.id = t.buyer_id
              where not t.shadow and not n.sandbox and t.created_at >= $1) as tasks,
            (select coalesce(sum(e.amount), 0)::bigint from ${TRADES} and e.created_at >= $1) as volume`,
    [since],
  );
  return { nodes: row?.nodes ?? 0, skills: row?.skills ?? 0, tasks: row?.tasks ?? 0, volume: tck(row?.volume ?? 0n) };
}

/** The beginnings of the times that figures are about. */
export type Times = { today: Date; week: Date; month: Date };

export type TaskFigures = { total: number; today: number; week: number; month: number };

export async function taskFigures(db: Db, { today, week, month }: Times): Promise<TaskFigures> {
  const [row] = await db.query<TaskFigures>(
    `select count(*)::int as total,
            count(*) filter (where t.created_at >= $1)::int as today,
            count(*) filter (where t.created_at >= $2)::int as week,
            count(*) filter (where t.created_at >= $3)::int as month
       from grid_tasks t join grid_nodes n on n.id = t.buyer_id where not t.shadow and not n.sandbox`,
    [today, week, month],
  );
  return row ?? { total: 0, today: 0, week: 0, month: 0 };
}

export type EscrowFigures = { settled: number; refunded: number; disputed: number; judged: number };

export async function escrowFigures(db: Db): Promise<EscrowFigures> {
  const [row] = await db.query<EscrowFigures>(
    `select count(*) filter (where e.state = 'SETTLED')::int as settled,
            count(*) filter (where e.state = 'REFUNDED')::int as refunded,
            count(*) filter (where e.state = 'DISPUTED')::int as disputed,
            (select count(*)::int from grid_decisions d join grid_escrows o on o.id = d.escrow_id
               join grid_nodes b on b.id = o.buyer_id where not b.sandbox) as judged
       from grid_escrows e join grid_nodes n on n.id = e.buyer_id where not n.sandbox`,
  );
  return row ?? { settled: 0, refunded: 0, disputed: 0, judged: 0 };
}

export type Volume = { total: Tck; week: Tck; month: Tck };

export async function volumeOf(db: Db, { week, month }: Times): Promise<Volume> {
  const [row] = await db.query<{ total: bigint; week: bigint; month: bigint }>(
    `select coalesce(sum(e.amount), 0)::bigint as total,
            coalesce(sum(e.amount) filter (where e.created_at >= $1), 0)::bigint as week,
            coalesce(sum(e.amount) filter (where e.created_at >= $2), 0)::bigint as month
       from ${TRADES}`,
    [week, month],
  );
  return { total: tck(row?.total ?? 0n), week: tck(row?.week ?? 0n), month: tck(row?.month ?? 0n) };
}

export type Population = {
  nodes: number;
  active: number;
  founders: number;
  skills: number;
  bounties: number;
  awarded: number;
};

export async function populationOf(db: Db, { week }: Times): Promise<Population> {
  const [row] = await db.query<Population>(
    `select (select count(*)::int from grid_nodes where not sandbox) as nodes,
            (select count(distinct party)::int from grid_escrows e join grid_nodes n on n.id = e.buyer_id,
                    unnest(array[e.buyer_id, e.seller_id]) as party
              where e.created_at >= $1 and not n.sandbox) as active,
            (select count(*)::int from grid_nodes where genesis_rank is not null) as founders,
            (select count(*)::int from grid_skills s join grid_nodes n on n.id = s.node_id where not n.sandbox) as skills,
            (select count(*)::int from grid_bounties where not sandbox) as bounties,
            (select count(*)::int from grid_bounties where not sandbox and state = 'awarded') as awarded`,
    [week],
  );
  return row ?? { nodes: 0, active: 0, founders: 0, skills: 0, bounties: 0, awarded: 0 };
}

/** How many nodes there are, and how much they offer. */
export async function offeredOn(db: Db): Promise<Pick<Population, 'nodes' | 'skills'>> {
  const [row] = await db.query<Pick<Population, 'nodes' | 'skills'>>(
    `select (select count(*)::int from grid_nodes where not sandbox) as nodes,
            (select count(*)::int from grid_skills s join grid_nodes n on n.id = s.node_id where not n.sandbox) as skills`,
  );
  return row ?? { nodes: 0, skills: 0 };
}

/** Programs that are named; what there are more of have hired less. */
const MAX_INTEGRATIONS = 20;

/** Which programs have hired through the bridge how often, those that did most first. */
export async function tasksByIntegration(db: Db): Promise<{ integration: string; tasks: number }[]> {
  return db.query(
    `select t.integration, count(*)::int as tasks from grid_tasks t join grid_nodes n on n.id = t.buyer_id
      where t.integration is not null and not t.shadow and not n.sandbox
      group by t.integration order by tasks desc, t.integration limit ${MAX_INTEGRATIONS}`,
  );
}

/** The names of the nodes that accounts have. */
export async function nodeNames(db: Db, accounts: readonly AccountId[]): Promise<Map<string, NodeId>> {
  const rows = await db.query<{ account_id: AccountId; id: NodeId }>(
    `select account_id, id from grid_nodes where account_id = any ($1)`,
    [accounts],
  );
  return new Map(rows.map(({ account_id, id }) => [account_id, id]));
}
