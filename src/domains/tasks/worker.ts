import { randomUUID } from 'node:crypto';
import { newId, type Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { carryOn } from './carry-on.ts';
import { tell } from './facts.ts';
import { beat, BEAT_MS, LEASE_MS, noteMachine, takeUp } from './holding-store.ts';
import { keepProgress } from './progress.ts';
import { Halt, type Run, type RunDeps } from './run.ts';
import { findTask } from './store.ts';
import { endingAt, firstLimit, workedMs } from './task.ts';

/** Tasks that one process works on at once; each mostly waits for a model or a command. */
const MAX_RUNS = 64;
/** How long a stopping process waits for steps under way before it cuts them short. */
const DRAIN_MS = 5 * SECOND;
/** Beats that may fail before a worker takes its tasks for lost: another may have them by then. */
const MAX_MISSED_BEATS = Math.floor((LEASE_MS * 2) / 3 / BEAT_MS);

/** The part of this process that works on tasks. */
export type Worker = {
  /** Takes up tasks that are due, as far as there is room; answers how many. */
  fill(): Promise<number>;
  /** Stops work on a task that has ended elsewhere in this process. */
  drop(taskId: string): void;
  /** Takes up nothing more and leaves what is under way to other workers, between two steps where that is soon. */
  stop(): Promise<void>;
};

type Runs = Map<Run, Promise<void>>;

export function createWorker(deps: RunDeps): Worker {
  const runs: Runs = new Map();
  const pulse = createPulse(deps, runs);
  let filling: Promise<number> = Promise.resolve(0);
  let state: 'open' | 'stopped' = 'open';

  /** One after the other, so that the room is counted right. */
  function fill(): Promise<number> {
    const next = filling.then(takeUpDue);
    filling = next.catch(() => 0); // the caller of this fill hears of its failure, the next one must not
    return next;
  }

  async function takeUpDue(): Promise<number> {
    for (let taken = 0; ; taken++) {
      const run = state === 'open' && runs.size < MAX_RUNS ? await takeUpOne(deps) : undefined;
      if (!run) return taken;
      runs.set(
        run,
        carryOn(deps, run).finally(() => end(run)),
      );
      pulse.start();
    }
  }

  function end(run: Run): void {
    runs.delete(run);
    if (runs.size === 0) pulse.stop();
    fill().catch((error: Error) => deps.log.warn({ err: error }, 'tasks could not be taken up'));
  }

  return {
    fill,
    drop: (taskId) => haltAll([...runs.keys()].filter((run) => run.task.id === taskId)),
    stop: async () => {
      state = 'stopped';
      await filling;
      await leave(runs);
    },
  };
}

/** Takes up one task. Unless it has its machine, the name of a new one is noted in the same transaction. */
function takeUpOne(deps: RunDeps): Promise<Run | undefined> {
  const owner = randomUUID();
  const actor = { kind: 'system', name: 'tasks' } as const;
  const { signal } = new AbortController();
  const op: Op = { actor, requestId: `worker-${owner}`, now: deps.clock.now(), signal };
  return deps.db.transact(async (tx) => {
    const taskId = await takeUp(tx, owner, op.now);
    const before = taskId && (await findTask(tx, taskId));
    if (!before) return undefined;
    const holding = { taskId, owner };
    // A machine that a dead worker was making is not waited for.
    if (before.status === 'provisioning' && before.machineId) await deps.removeMachine(tx, before.machineId);
    if (before.status !== 'running') await noteMachine(tx, holding, newId(op, 'machine'));
    if (before.status === 'queued') await tell(tx, op, 'task.provisioning', before);
    const task = await findTask(tx, taskId);
    return task && { holding, task, steps: [], halt: new AbortController(), mode: 'working' };
  });
}

/** Keeps what this process holds, and halts what has met its limit or is not held any more. */
function createPulse(deps: RunDeps, runs: Runs) {
  let timer: NodeJS.Timeout | undefined;
  let missed = 0;

  async function pulse(): Promise<void> {
    const now = deps.clock.now();
    const current = [...runs.keys()];
    for (const run of current) haltAtLimit(run, now);
    try {
      const holdings = current.map((run) => run.holding);
      const held = await beat(deps.db, holdings, now);
      missed = 0;
      haltAll(current.filter((run) => !held.has(run.holding.owner)));
      for (const run of current) await keepProgress(deps, run);
    } catch (error) {
      missed += 1;
      deps.log.warn({ err: error, missed }, 'tasks could not be kept');
      if (missed >= MAX_MISSED_BEATS) haltAll(current);
    }
  }

  return {
    start() {
      timer ??= setInterval(() => void pulse(), BEAT_MS);
    },
    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}

function haltAtLimit(run: Run, now: Date): void {
  if (run.task.status !== 'running') return;
  const limit = firstLimit(run.task);
  if (workedMs(run.task, now) >= limit.atMs) run.halt.abort(new Halt(endingAt(limit, run.task)));
}

function haltAll(runs: Run[]): void {
  for (const run of runs) run.halt.abort(new Halt('gone'));
}

async function leave(runs: Runs): Promise<void> {
  for (const run of runs.keys()) run.mode = 'leaving';
  const cut = setTimeout(() => haltAll([...runs.keys()]), DRAIN_MS);
  await Promise.all(runs.values());
  clearTimeout(cut);
}
