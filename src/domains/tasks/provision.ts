import { isAppError } from '../../kernel/errors.ts';
import { after, MINUTE, SECOND } from '../../kernel/time.ts';
import type { LimitsRequest, Machine } from '../machines/index.ts';
import { tell } from './facts.ts';
import { noteRunning, putBack } from './holding-store.ts';
import { haltedBy, recordOp, workOp, type Run, type RunDeps, type Stop } from './run.ts';
import { ENDINGS } from './task.ts';

/** `2vcpu_2gb` of the price list. */
export const MACHINE_LIMITS: LimitsRequest = { vcpus: 2, memoryMb: 2_048, diskGb: 4 };
/** How long a machine outlives its task's timeout if nobody removes it. */
export const LEASE_MARGIN_MS = 10 * MINUTE;
const MAX_FAILURES = 3;
/** A task without a machine is tried again after this, then after twice as long each time, up to the most. */
const FIRST_RETRY_MS = 2 * SECOND;
const MAX_RETRY_MS = 30 * SECOND;
const MAX_DOUBLINGS = 10;

/** Gets the machine whose id was noted when the task was taken up. Where there is none to be had, the task waits. */
export async function provision(deps: RunDeps, run: Run): Promise<'ready' | Stop> {
  const op = workOp(deps, run);
  const started = await tryToStart(deps, run);
  if (!('machine' in started)) {
    return run.halt.signal.aborted ? haltedBy(run) : notProvisioned(deps, run, started.error);
  }
  const now = deps.clock.now();
  const running = await deps.db.transact(async (tx) => {
    const noted = await noteRunning(tx, run.holding, now);
    if (noted) await tell(tx, { ...op, now }, 'task.running', run.task);
    return noted;
  });
  if (running) {
    run.task = { ...run.task, status: 'running', runningAt: now };
    return 'ready';
  }
  await deps.machines.destroy(recordOp(deps, run), started.machine.id);
  return 'gone';
}

async function tryToStart(deps: RunDeps, run: Run): Promise<{ machine: Machine } | { error: unknown }> {
  const { task } = run;
  try {
    const machine = await deps.machines.start(workOp(deps, run), {
      id: task.machineId,
      accountId: task.accountId,
      purpose: `task:${task.id}`,
      limits: MACHINE_LIMITS,
      network: 'egress',
      leaseMs: task.timeoutSeconds * SECOND + LEASE_MARGIN_MS,
    });
    return { machine };
  } catch (error) {
    return { error };
  }
}

/** A full host is no failure: the task waits its turn. */
async function notProvisioned(deps: RunDeps, run: Run, error: unknown): Promise<Stop> {
  const { task, holding } = run;
  const isFull = isAppError(error, 'at_capacity');
  if (!isFull) deps.log.warn({ taskId: task.id, err: error }, 'a task got no machine');
  if (!isFull && task.machineFailures + 1 >= MAX_FAILURES) return ENDINGS.notProvisioned('Failed to create sandbox');
  const waitMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(task.machineTries - 1, MAX_DOUBLINGS));
  const op = recordOp(deps, run);
  await deps.db.transact(async (tx) => {
    const back = await putBack(tx, holding, after(op.now, waitMs), isFull ? 0 : 1);
    if (back) await tell(tx, op, 'task.requeued', task);
  });
  return 'gone';
}
