import type { ListingId, NodeId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import type { Db } from '../../../platform/db.ts';

/** What is bought, as far as a trade needs to know it. */
export type Offer = {
  id: ListingId;
  sellerId: NodeId;
  label: string;
  price: Tck;
  metadata: Record<string, unknown>;
};

export async function findOffer(db: Db, id: ListingId): Promise<Offer | undefined> {
  const [row] = await db.query<{
    id: ListingId;
    node_id: NodeId;
    label: string;
    price: bigint;
    metadata: Record<string, unknown>;
  }>(`select id, node_id, label, price, metadata from grid_skills where id = $1`, [id]);
  return row && { id: row.id, sellerId: row.node_id, label: row.label, price: tck(row.price), metadata: row.metadata };
}

export type HiredSkill = Pick<Offer, 'id' | 'label' | 'price'> & { timesHired: number };

/**
 * How often each of a seller's skills was hired, newest skills last. Shadow tasks do not count. Without their metadata,
 * which of so many can be fifty megabytes.
 */
export async function hiredSkills(db: Db, seller: NodeId): Promise<HiredSkill[]> {
  const rows = await db.query<{ id: ListingId; label: string; price: bigint; times: bigint }>(
    `select s.id, s.label, s.price,
            (select count(*) from grid_tasks t where t.skill_id = s.id and not t.shadow) as times
       from grid_skills s where s.node_id = $1 order by s.seq`,
    [seller],
  );
  return rows.map(({ id, label, price, times }) => ({ id, label, price: tck(price), timesHired: Number(times) }));
}
