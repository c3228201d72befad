import { AppError, isAppError } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import { tck, type Tck } from '../../../kernel/money.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import type { Tx } from '../../../platform/db.ts';
import { recordFact } from '../../../platform/outbox.ts';
import { wallet } from '../../ledger/index.ts';
import { readoptBounties } from '../bounties/store.ts';
import { vaultOf } from '../money.ts';
import type { Node } from '../nodes/node.ts';
import { findNode } from '../nodes/store.ts';
import type { GridWorld } from '../world.ts';
import { isBanned } from './cri.ts';
import { decide, findReport, makeStrike, takeConfiscated, type Report, type Verdict } from './report-store.ts';
import { strikeOnce } from './report.ts';
import { lockNode, takeStrikeBack } from './store.ts';

/** What the operator's word on a report has come to. */
export type Reviewed = {
  report: Report;
  verdict: Verdict;
  strikes: number;
  active: boolean;
  /** What the vault has given back. */
  returned: Tck;
};

/**
 * The operator's word on a report, once. Dismissed, its strike is taken back, and where it had ended the node the node is
 * here again with what was confiscated; upheld, what was only noted becomes a strike. Throws `not_found`, `invalid`
 * (reviewed before; about a node that is banned), `conflict` (the vault has not as much).
 */
export function review(world: GridWorld, op: Op, reference: string, verdict: Verdict): Promise<Reviewed> {
  return world.db.transact(async (tx) => {
    const id = parseId('report', reference);
    const known = id && (await findReport(tx, id));
    if (!known) throw new AppError('not_found', 'Report not found');
    await lockNode(tx, known.node);
    // Again, for it sees what was committed while this one waited.
    const report = (await findReport(tx, known.id)) ?? known;
    if (!(await decide(tx, report.id, verdict, op.now)))
      throw new AppError('invalid', 'This report was reviewed before');
    const returned = await (verdict === 'dismissed' ? dismiss : uphold)(world, tx, op, report);
    const node = await accusedOf(tx, report);
    await recordFact(tx, op, {
      type: 'node.report_reviewed',
      subject: node.id,
      accountId: node.accountId,
      data: { nodes: [node.id, report.reporter], verdict, returned: String(returned) },
    });
    return { report, verdict, strikes: node.strikes, active: node.active, returned };
  });
}

async function uphold(world: GridWorld, tx: Tx, op: Op, report: Report): Promise<Tck> {
  if (!report.counted) await makeStrike(tx, report.id, await strikeOnce(world, tx, op, await accusedOf(tx, report)));
  return tck(0n);
}

async function dismiss(world: GridWorld, tx: Tx, op: Op, report: Report): Promise<Tck> {
  if (!report.counted) return tck(0n);
  const accused = await accusedOf(tx, report);
  const reinstated = isBanned(accused);
  await takeStrikeBack(tx, accused.id, reinstated);
  if (!reinstated) return tck(0n);
  await readoptBounties(tx, accused.id);
  return giveBack(world, tx, op, accused);
}

async function giveBack({ ledger }: GridWorld, tx: Tx, op: Op, accused: Node): Promise<Tck> {
  const confiscated = await takeConfiscated(tx, accused.id);
  if (confiscated === 0n) return confiscated;
  const transfer = {
    id: newId(op, 'transfer', `confiscation returned ${accused.id}`),
    type: 'CONFISCATION_RETURN',
    description: `Given back to ${accused.id}, whose strike was dismissed`,
    metadata: { reference: accused.id, node: accused.id },
    legs: [
      { account: vaultOf(accused), amount: tck(-confiscated) },
      { account: wallet(accused.accountId, 'TCK'), amount: confiscated },
    ],
  };
  await ledger.transfer(tx, op, transfer).catch((error: unknown) => {
    if (!isAppError(error, 'unaffordable')) throw error;
    throw new AppError('conflict', 'The vault has not as much as was confiscated', { cause: error });
  });
  return confiscated;
}

async function accusedOf(tx: Tx, { node }: Report): Promise<Node> {
  const accused = await findNode(tx, node);
  if (!accused) throw new AppError('not_found', 'Node not found');
  return accused;
}
