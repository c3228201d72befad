import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after, HOUR } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import {
  defineJob,
  defineSweep,
  type JobDefinition,
  type JobReference,
  type SweepDefinition,
} from '../../platform/jobs/index.ts';
import type { Machines } from '../machines/index.ts';
import { finish, type FinishDeps } from './finish.ts';
import { overdueTasks, queuedBefore } from './store.ts';
import { endingAt, ENDINGS, firstLimit, type Ending, type Task } from './task.ts';
import type { Worker } from './worker.ts';

/** A task that got no machine in this time never runs. */
const MAX_QUEUED_MS = HOUR;
const BATCH = 100;

type Removal = { machineId: MachineId };
export const REMOVE_MACHINE: JobReference<Removal> = { name: 'tasks.remove-machine' };
export const TEND = { name: 'tasks.tend' };

/** Removes the machine of a task that has ended. */
export const removeMachine = (machines: Machines): JobDefinition<Removal> =>
  defineJob({ ...REMOVE_MACHINE, run: (op, { machineId }) => machines.destroy(op, machineId) });

type TendDeps = FinishDeps & { db: Database; worker: Worker };

/**
 * Has tasks taken up that are due or were left behind, and ends those whose time is over: also when the platform's
 * time was moved, before the worker that has them notices.
 */
export const tend = (deps: TendDeps): SweepDefinition =>
  defineSweep({
    ...TEND,
    everySeconds: 2,
    async runDue(op) {
      const overdue = await overdueTasks(deps.db, op.now, BATCH);
      const stale = await queuedBefore(deps.db, after(op.now, -MAX_QUEUED_MS), BATCH);
      let ended = 0;
      for (const task of overdue) ended += await end(deps, op, task, endingAt(firstLimit(task), task));
      for (const task of stale)
        ended += await end(deps, op, task, ENDINGS.notProvisioned('No machine became free in time'));
      return ended + (await deps.worker.fill());
    },
  });

async function end(deps: TendDeps, op: Op, { id, status }: Task, ending: Ending): Promise<number> {
  const ended = await deps.db.transact((tx) => finish(deps, tx, op, id, ending, { status }));
  if (ended) deps.worker.drop(id);
  return ended ? 1 : 0;
}
