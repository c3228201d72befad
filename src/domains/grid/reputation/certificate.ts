import type { Op } from '../../../kernel/op.ts';
import { HOUR, SECOND, after } from '../../../kernel/time.ts';
import type { Standing } from '../escrow/standing-store.ts';
import type { Node } from '../nodes/node.ts';
import type { Signing } from '../signing.ts';
import { partnersOf, tradesOf, type Cri } from './cri.ts';
import { levelOf } from './levels.ts';

const LASTS = HOUR;

export type Rating = { node: Node; standing: Standing; cri: Cri };
export type Certificate = { token: string; rating: Rating; validUntil: Date };

/** What a certificate says of a node's past. */
const historyOf = ({ node, standing, cri }: Rating) => ({
  trades_completed: tradesOf(standing),
  unique_counterparties: partnersOf(standing),
  disputes: standing.disputed,
  strikes: node.strikes,
  member_since: node.createdAt.toISOString(),
  is_genesis: node.genesis !== undefined,
  level: levelOf(node.spent, cri.score).name,
});

/** A statement about a node that anybody can check with our public key, for an hour. */
export async function certify(signing: Signing, op: Op, rating: Rating): Promise<Certificate> {
  const { node, cri } = rating;
  const { score, factors, penalties } = cri;
  const claims = { sub: node.id, cri: { score, factors, penalties }, history: historyOf(rating) };
  const token = await signing.sign(op, 'certificate', claims, LASTS);
  return { token, rating, validUntil: after(new Date(Math.floor(op.now.getTime() / SECOND) * SECOND), LASTS) };
}
