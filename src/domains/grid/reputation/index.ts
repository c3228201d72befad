import { AppError } from '../../../kernel/errors.ts';
import { parseNodeId, type NodeId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import { standings } from '../escrow/standing-store.ts';
import type { Node } from '../nodes/node.ts';
import { findNode } from '../nodes/store.ts';
import type { Signing } from '../signing.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { certify, type Rating } from './certificate.ts';
import { criOf } from './cri.ts';
import { refreshDue } from './refresh.ts';
import { listReports, type ReportFilter, type Verdict } from './report-store.ts';
import { report } from './report.ts';
import { review } from './review.ts';
import { genesisAwards, leaders, markOutdated, pioneerAwards } from './store.ts';

export type Reputation = ReturnType<typeof createReputation>;

/** What nodes are thought of: the index, levels, strikes, badges. */
export function createReputation(world: GridWorld, signing: Signing) {
  const { db } = world;
  return {
    /** The index of a node as it is now, with what it is made of. */
    rate: (op: Op, node: Node, reader: Db = db): Promise<Rating> => rate(reader, op, node),
    /** The same by its name. Throws `not_found`. */
    rating: (op: Op, text: string) => ratingOf(db, op, text),
    certify: async (op: Op, text: string) => certify(signing, op, await ratingOf(db, op, text)),
    /** What a certificate of ours says while it holds. */
    readCertificate: (op: Op, token: string) => signing.read(op, 'certificate', token),
    report: (op: NodeOp, text: string) => report(world, op, text),
    reports: (filter: ReportFilter, page: { limit: number; offset: number }) => listReports(db, filter, page),
    /** The operator's word on a report. */
    review: (op: Op, reference: string, verdict: Verdict) => review(world, op, reference, verdict),
    leaders: (page: { limit: number; offset: number }) => leaders(db, page),
    genesis: () => genesisAwards(db),
    pioneers: () => pioneerAwards(db),
    /** Says that something has happened that the index of these nodes depends on; it is computed again soon. */
    outdate: (tx: Tx, ids: readonly NodeId[]) => markOutdated(tx, ids),
    sweeps: [defineSweep({ name: 'grid.refresh-reputation', everySeconds: 15, runDue: (op) => refreshDue(world, op) })],
  };
}

async function ratingOf(db: Db, op: Op, text: string): Promise<Rating> {
  const id = parseNodeId(text);
  const node = id && (await findNode(db, id));
  if (!node) throw new AppError('not_found', 'Node not found');
  return rate(db, op, node);
}

async function rate(db: Db, op: Op, node: Node): Promise<Rating> {
  const standing = (await standings(db, [node.id])).get(node.id);
  if (!standing) throw new Error(`node ${node.id} has no standing`);
  return { node, standing, cri: criOf(node, standing, op.now) };
}
