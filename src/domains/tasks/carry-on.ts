import { isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { after, SECOND } from '../../kernel/time.ts';
import type { Json } from '../models/index.ts';
import { finish } from './finish.ts';
import { letGo } from './holding-store.ts';
import { LEASE_MARGIN_MS, provision } from './provision.ts';
import { recordOp, workOp, type Run, type RunDeps, type Stop } from './run.ts';
import { interruptSteps, noteProgress, stepsAfter } from './step-store.ts';
import { ENDINGS, firstLimit, workedMs, type Ending, type Task } from './task.ts';
import { work } from './work.ts';

/** What nobody foresaw may pass by itself (a database that restarts), but a task is not tried for ever. */
const MAX_RECOVERIES = 20;
const AFTER_TROUBLE_MS = 3 * SECOND;

/** Carries a task on from wherever it is, to its end or until it is not ours any more. Never throws. */
export async function carryOn(deps: RunDeps, run: Run): Promise<void> {
  try {
    const stop = await toTheEnd(deps, run);
    if (stop === 'gone') await letGo(deps.db, run.holding, deps.clock.now(), 0);
    else await endAs(deps, run, stop);
  } catch (error) {
    deps.log.error({ taskId: run.task.id, err: error }, 'a task met trouble and will be taken up again');
    await letGo(deps.db, run.holding, deps.clock.now(), AFTER_TROUBLE_MS).catch((failure: Error) =>
      // It is free by itself when the holding runs out.
      deps.log.warn({ taskId: run.task.id, err: failure }, 'a task could not be let go'),
    );
  }
}

async function toTheEnd(deps: RunDeps, run: Run): Promise<Stop> {
  if (run.task.recoveries > MAX_RECOVERIES)
    return ENDINGS.executionError('The server failed again and again while it worked on the task');
  const ready = run.task.status === 'running' ? await resume(deps, run) : await provision(deps, run);
  return ready === 'ready' ? work(deps, run) : ready;
}

async function endAs(deps: RunDeps, run: Run, ending: Ending): Promise<void> {
  const op = recordOp(deps, run);
  const ended = await deps.db.transact((tx) => finish(deps, tx, op, run.task.id, ending, { owner: run.holding.owner }));
  if (!ended?.machineId) return;
  // Its removal is on record; doing it now frees the room at once.
  await deps.machines
    .destroy(op, ended.machineId)
    .catch((error: Error) =>
      deps.log.warn({ taskId: ended.id, err: error }, 'a task machine could not be removed yet'),
    );
}

/** Takes a running task up where its last worker left it: in its machine, which outlives workers. */
async function resume(deps: RunDeps, run: Run): Promise<'ready' | Ending> {
  const { task } = run;
  const op = workOp(deps, run);
  run.steps = await deps.db.transact(async (tx) => {
    const cut = (await stepsAfter(tx, task.id, 0)).find((step) => step.state === 'started');
    if (cut?.kind === 'tool')
      await noteProgress(tx, run.holding, cut.number, { ...NOTHING, ...asFields(cut.output), ...INTERRUPTED });
    await interruptSteps(tx, task.id, op.now, INTERRUPTED);
    return stepsAfter(tx, task.id, 0);
  });
  if (!task.machineId || (await machineState(deps, op, task.machineId)) !== 'running') return ENDINGS.machineLost();
  const leftMs = Math.max(0, firstLimit(task).atMs - workedMs(task, op.now));
  await deps.machines.extendLease(op, task.machineId, after(op.now, leftMs + LEASE_MARGIN_MS));
  return 'ready';
}

/** What a model is told of a tool that was under way when the worker died, beside what the tool had said by then. */
const INTERRUPTED = {
  exit_code: null,
  note: 'The server restarted while this ran. It may have run in part or in full, and may still be running.',
};
const NOTHING = { stdout: '', stderr: '' };

const asFields = (output: Json): Record<string, Json> =>
  typeof output === 'object' && output !== null && !Array.isArray(output) ? (output as Record<string, Json>) : {};

async function machineState(deps: RunDeps, op: Op, machineId: NonNullable<Task['machineId']>): Promise<string> {
  try {
    return (await deps.machines.get(op, machineId)).state;
  } catch (error) {
    if (isAppError(error, 'not_found')) return 'destroyed';
    throw error;
  }
}
