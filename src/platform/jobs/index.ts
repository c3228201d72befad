import { setTimeout as sleep } from 'node:timers/promises';
import type { Op } from '../../kernel/op.ts';
import { SECOND, type Clock } from '../../kernel/time.ts';
import type { Tx } from '../db.ts';
import type { Log } from '../log.ts';
import type { AnyJob, JobReference, SweepDefinition } from './definition.ts';
import { createQueue, type Queue, type RunReport } from './queue.ts';
import { openSignals } from './signals.ts';
import { notify, openJobStore, type JobStore } from './store.ts';
import { createSweep, type Sweep } from './sweeps.ts';

export {
  allParts,
  defineJob,
  defineSweep,
  type JobDefinition,
  type JobReference,
  type SweepDefinition,
} from './definition.ts';
export type { RunReport } from './queue.ts';
export { installJobs } from './store.ts';

export type JobsOptions = {
  /** The database, as the role that serves. */
  url: string;
  clock: Clock;
  log: Log;
  /** Hears of every run, for metrics. */
  onRun?: (run: RunReport) => void;
};

export type Work = {
  jobs: readonly AnyJob[];
  sweeps: readonly SweepDefinition[];
  /** `all`: this process runs jobs and sweeps. `none`: it only enqueues, and runs what is due on demand. */
  takes: 'all' | 'none';
};

export type Jobs = {
  /** Has a job done once the transaction has committed; never where it rolls back. */
  enqueue<Data extends object>(tx: Tx, job: JobReference<Data>, data: Data): Promise<void>;
  /** Wakes a sweep once the transaction has committed, rather than at its next turn. */
  nudge(tx: Tx, sweep: Pick<SweepDefinition, 'name'>): Promise<void>;
  start(work: Work): Promise<void>;
  /**
   * Runs every sweep and every job that is due, and what becomes due by that, until nothing is left. Long jobs are
   * started and not awaited. Answers how much was done.
   */
  runDueNow(op: Op): Promise<number>;
  /** Takes nothing new, interrupts long jobs, and gives the others `timeoutMs` before they are interrupted too. */
  stop(options: { timeoutMs: number }): Promise<void>;
};

const PEEK_MS = 500;
const BEAT_MS = 2 * SECOND;
/** Four beats missed: a process that is merely slow is not robbed of its jobs. */
const SILENT_SECONDS = 8;
const LOST_CHECK_MS = SECOND;
const DUE_POLL_MS = 50;
/** What keeps making itself due would never end. */
const MAX_ROUNDS = 100;
const INTERRUPT_GRACE_MS = 2 * SECOND;

/** Background work of this process. `enqueue` needs `start` to have been called. */
export function createJobs(options: JobsOptions): Jobs {
  const store = openJobStore(options.url, (error) => options.log.warn({ err: error }, 'the job queue has trouble'));
  let working: Working | undefined;
  return {
    enqueue: (tx, job, data) => store.add(tx, job, data),
    nudge: (tx, sweep) => notify(tx, sweep.name),
    async start(work) {
      working = await startWorking(options, store, work);
    },
    runDueNow: async (op) => (working ? runDue(op, working, store) : 0),
    async stop({ timeoutMs }) {
      await working?.stop(timeoutMs);
      await store.close();
    },
  };
}

type Working = { queues: Queue[]; sweeps: Sweep[]; stop(timeoutMs: number): Promise<void> };

async function startWorking(options: JobsOptions, store: JobStore, work: Work): Promise<Working> {
  const { clock, log, url } = options;
  const ending = new AbortController();
  const ended = new AbortController();
  await store.open(work.jobs);

  const pull = (queue: Queue): void => {
    if (work.takes === 'none' || ending.signal.aborted) return;
    queue.pull().catch((error: unknown) => log.warn({ err: error }, 'no jobs can be taken'));
  };
  const report = options.onRun ?? (() => {});
  const queues = work.jobs.map((job) => createQueue(job, { store, clock, log, report, onRoom: pull }));
  const names = work.jobs.map(({ name }) => name);
  const signals = openSignals(url, log, (name) => {
    for (const sweep of sweeps) if (name === undefined || sweep.name === name) sweep.wake();
    for (const queue of queues) if (name === undefined || queue.job.name === name) pull(queue);
  });
  const sweeps = work.sweeps.map((definition) => createSweep(definition, { signals, clock, log }));
  await signals.ready;

  const repeat = (everyMs: number, signal: AbortSignal, turn: () => Promise<unknown>) =>
    repeated(everyMs, signal, turn, log);
  const pullWaiting = async (): Promise<void> => {
    const waiting = await store.waiting(names);
    for (const queue of queues) if (waiting.includes(queue.job.name)) pull(queue);
  };
  const beating = repeat(BEAT_MS, ended.signal, () => Promise.all(queues.map((queue) => queue.beat())));
  const loops =
    work.takes === 'none'
      ? []
      : [
          repeat(PEEK_MS, ending.signal, pullWaiting),
          repeat(LOST_CHECK_MS, ending.signal, () => giveBackLost(store, names, log)),
          ...sweeps.map((sweep) => sweep.repeat(ending.signal)),
        ];

  const stop = async (timeoutMs: number): Promise<void> => {
    ending.abort();
    await drain(queues, loops, timeoutMs);
    ended.abort();
    await beating;
    await signals.close();
  };
  return { queues, sweeps, stop };
}

async function repeated(everyMs: number, signal: AbortSignal, turn: () => Promise<unknown>, log: Log): Promise<void> {
  while (!signal.aborted) {
    await turn().catch((error: unknown) => log.warn({ err: error }, 'the job queue cannot be reached'));
    await sleep(everyMs, undefined, { signal }).catch(() => {}); // an abort only cuts it short
  }
}

async function giveBackLost(store: JobStore, names: readonly string[], log: Log): Promise<void> {
  for (const lost of await store.silentFor(SILENT_SECONDS, names)) {
    log.warn({ job: lost.name, jobId: lost.id }, 'a job lost its process and is given to another');
    await store.giveBack(lost.name, lost, 'The process that ran this job is gone.');
  }
}

async function drain(queues: Queue[], loops: Promise<void>[], timeoutMs: number): Promise<void> {
  const { long, moments } = byLength(queues);
  for (const queue of long) queue.interrupt();
  await within(timeoutMs, Promise.all([...loops, ...moments.map((queue) => queue.idle())]));
  for (const queue of queues) queue.interrupt();
  await within(INTERRUPT_GRACE_MS, Promise.all(queues.map((queue) => queue.idle())));
}

const byLength = (queues: Queue[]) => ({
  long: queues.filter(({ job }) => job.lasts === 'long'),
  moments: queues.filter(({ job }) => job.lasts !== 'long'),
});

async function runDue(op: Op, { queues, sweeps }: Working, store: JobStore): Promise<number> {
  const { long, moments } = byLength(queues);
  const before = total(moments);
  let swept = 0;
  for (let round = 0; round < MAX_ROUNDS && !op.signal.aborted; round++) {
    let found = 0;
    for (const sweep of sweeps) found += await sweep.runNow(op.signal);
    for (const queue of long) await queue.pull();
    const worked = await workOff(op, moments, store);
    swept += found;
    if (found === 0 && worked === 'nothing') break;
  }
  return swept + total(moments) - before;
}

/** Takes part in the work until no job waits and none is under way, here or in another process. */
async function workOff(op: Op, queues: Queue[], store: JobStore): Promise<'something' | 'nothing'> {
  const names = queues.map(({ job }) => job.name);
  for (let looks = 0; !op.signal.aborted; looks++) {
    if ((await store.countDue(names)) === 0) return looks === 0 ? 'nothing' : 'something';
    for (const queue of queues) await queue.pull();
    await sleep(DUE_POLL_MS);
  }
  return 'something';
}

const total = (queues: Queue[]): number => queues.reduce((sum, queue) => sum + queue.done, 0);

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  await Promise.race([work, sleep(milliseconds, undefined, { signal: enough.signal }).catch(() => {})]); // whichever is first
  enough.abort();
}
