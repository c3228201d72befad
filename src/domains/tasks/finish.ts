import { assert } from '../../kernel/errors.ts';
import { cents } from '../../kernel/money.ts';
import type { TaskId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import type { Ledger } from '../ledger/index.ts';
import { costOf, secondsBegun } from './cost.ts';
import { TASK_COMPLETED, tell } from './facts.ts';
import { interruptSteps } from './step-store.ts';
import { findTask, lockTask, writeEnd } from './store.ts';
import { hasEnded, mayBecome, workedMs, type Ending, type Status, type Task } from './task.ts';

export type FinishDeps = {
  ledger: Ledger;
  /** Has a machine removed once the transaction is committed, and again until it is gone. */
  removeMachine: (tx: Tx, machineId: NonNullable<Task['machineId']>) => Promise<void>;
};

/**
 * Ends a task: status, money, steps, fact, and the removal of its machine, all or nothing. Answers undefined and
 * changes nothing where the task has ended already, or is not what the caller takes it for.
 */
export async function finish(
  deps: FinishDeps,
  tx: Tx,
  op: Op,
  id: TaskId,
  ending: Ending,
  only: { owner?: string; status?: Status } = {},
): Promise<Task | undefined> {
  const locked = await lockTask(tx, id);
  if (!locked || hasEnded(locked.task.status)) return undefined;
  if (only.owner !== undefined && only.owner !== locked.owner) return undefined;
  if (only.status !== undefined && only.status !== locked.task.status) return undefined;
  const { task } = locked;
  assert(mayBecome(task.status, ending.status), `a ${task.status} task cannot become ${ending.status}`);
  // Nobody worked on an abandoned task after its last beat.
  const until = locked.abandoned && task.beatAt ? task.beatAt : op.now;
  const cost = costOf(task.budgetCents, task.inference, secondsBegun(workedMs(task, until)));
  // Takes what was spent out of the hold and gives back the rest; nothing spent is all given back.
  await deps.ledger.postHold(tx, op, task.holdId, cents(cost.spentCents));
  await interruptSteps(tx, id, op.now, { note: 'The task ended while this ran.' });
  await writeEnd(tx, {
    id,
    status: ending.status,
    completedAt: op.now,
    computeSeconds: cost.computeSeconds,
    spentCents: cost.spentCents,
    result: ending.result ?? partialResult(task),
    error: ending.error,
  });
  if (task.machineId) await deps.removeMachine(tx, task.machineId);
  await tell(tx, op, TASK_COMPLETED, task, {
    status: ending.status,
    spentCents: cost.spentCents,
    errorCode: ending.error?.code ?? null,
  });
  return findTask(tx, id);
}

const partialResult = ({ partialText }: Task): Ending['result'] =>
  partialText ? { text: partialText, json: null } : undefined;
