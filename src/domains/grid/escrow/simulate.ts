import { AppError } from '../../../kernel/errors.ts';
import type { Tck } from '../../../kernel/money.ts';
import type { NodeOp } from '../world.ts';
import { splitOf, type Split } from './escrow.ts';
import { partyTask } from './party-task.ts';
import type { Broken } from './promises.ts';
import { findOffer } from './skill-store.ts';
import type { GridTask } from './task.ts';
import { judgeAll, type Judging } from './verdict.ts';

/** What a task would have come to, had there been money. */
export type Simulation = {
  task: GridTask;
  outcome: 'SETTLED' | 'AUTO_REFUND' | 'FLAGGED_MANUAL';
  broken: Broken | undefined;
  amount: Tck;
  split: Split;
};

const OUTCOMES = { clean: 'SETTLED', broken: 'AUTO_REFUND', unclear: 'FLAGGED_MANUAL' } as const;

/** Judges the output of a shadow task as it would be judged before its seller were paid. Nothing is written. */
export async function simulate(world: Judging, op: NodeOp, id: string): Promise<Simulation> {
  const task = await partyTask(world.db, op, id);
  if (!task.shadow) throw new AppError('invalid', 'Not a shadow task');
  const offer = await findOffer(world.db, task.skillId);
  if (!offer) throw new AppError('not_found', 'Skill not found');
  const [judgement] = await judgeAll(world, [{ ...task, metadata: offer.metadata }]);
  return {
    task,
    outcome: OUTCOMES[judgement?.outcome ?? 'clean'],
    broken: judgement?.broken,
    amount: offer.price,
    split: splitOf(offer.price),
  };
}
