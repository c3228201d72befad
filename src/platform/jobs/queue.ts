import { idOf } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { SECOND, type Clock } from '../../kernel/time.ts';
import type { Log } from '../log.ts';
import type { AnyJob } from './definition.ts';
import { retryLimitOf, timeoutSecondsOf, type Claim, type JobStore } from './store.ts';

const CONCURRENCY = 4;

/** What became of one run of a job. */
export type Outcome = 'done' | 'failed' | 'given_up' | 'stopped';
export type RunReport = { job: string; outcome: Outcome; seconds: number };

export type QueueTools = {
  store: JobStore;
  clock: Clock;
  log: Log;
  report: (run: RunReport) => void;
  /** Hears that there is room for one more. */
  onRoom: (queue: Queue) => void;
};

/** The jobs of one definition, as far as this process runs them. */
export type Queue = {
  readonly job: AnyJob;
  /** Starts as many of the waiting jobs as may run at once; more follow as these end. Answers how many it started. */
  pull(): Promise<number>;
  /** Says that what is under way still is, and aborts what was taken from us. */
  beat(): Promise<void>;
  /** Aborts what is under way, to be taken up by another process. */
  interrupt(): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** How many runs have ended well. */
  readonly done: number;
};

type Run = { claim: Claim; stop: AbortController; ended: Promise<void> };

export function createQueue(job: AnyJob, tools: QueueTools): Queue {
  const { store } = tools;
  const running = new Map<string, Run>();
  const limit = job.concurrency ?? CONCURRENCY;
  const counts = { done: 0 };
  let pulling: Promise<number> | undefined;
  let closed = false;

  const pullNow = async (): Promise<number> => {
    const free = limit - running.size;
    if (free <= 0 || closed) return 0;
    const claims = await store.take(job, free);
    for (const claim of claims) begin(claim);
    return claims.length;
  };

  const begin = (claim: Claim): void => {
    const stop = new AbortController();
    const ended = perform(job, claim, stop, tools).then((outcome) => {
      running.delete(claim.id);
      if (outcome === 'done') counts.done++;
      if (!closed) tools.onRoom(queue);
    });
    running.set(claim.id, { claim, stop, ended });
  };

  /** One taking at a time, or two would take more than may run. */
  const pull = async (): Promise<number> => {
    pulling ??= pullNow().finally(() => (pulling = undefined));
    return pulling;
  };

  const queue: Queue = {
    job,
    pull,
    async beat() {
      if (running.size === 0) return;
      const claims = [...running.values()].map(({ claim }) => claim);
      for (const id of await store.beat(job.name, claims))
        running.get(id)?.stop.abort(new Error('another process has taken this job'));
    },
    interrupt() {
      closed = true;
      for (const { stop } of running.values()) stop.abort(new Interruption());
    },
    async idle() {
      while (running.size > 0) await Promise.all([...running.values()].map(({ ended }) => ended));
    },
    get done() {
      return counts.done;
    },
  };
  return queue;
}

/** The reason of an abort which is no failure of the job. */
class Interruption extends Error {
  override message = 'the server stops';
}

/** Runs one job and settles it. Never throws: what goes wrong is a matter for the log and the next run. */
async function perform(job: AnyJob, claim: Claim, stop: AbortController, tools: QueueTools): Promise<Outcome> {
  const { store, clock, log, report } = tools;
  const started = performance.now();
  const overdue = setTimeout(() => stop.abort(new Error('the job took too long')), timeoutSecondsOf(job) * SECOND);
  let outcome: Outcome;
  try {
    await job.run(opOf(job, claim, clock, stop.signal), claim.data as never);
    outcome = 'done';
    await settle(log, job, () => store.complete(job.name, claim));
  } catch (error) {
    outcome = outcomeOf(job, claim, stop.signal);
    await settleFailure(outcome, error, job, claim, tools);
  } finally {
    clearTimeout(overdue);
  }
  report({ job: job.name, outcome, seconds: (performance.now() - started) / SECOND });
  return outcome;
}

function outcomeOf(job: AnyJob, claim: Claim, signal: AbortSignal): Outcome {
  if (signal.reason instanceof Interruption) return 'stopped';
  return claim.retryCount >= retryLimitOf(job) ? 'given_up' : 'failed';
}

async function settleFailure(
  outcome: Outcome,
  error: unknown,
  job: AnyJob,
  claim: Claim,
  { store, log }: QueueTools,
): Promise<void> {
  const why = error instanceof Error ? error.message : String(error);
  if (outcome === 'stopped') return settle(log, job, () => store.giveBack(job.name, claim, why));
  const words = outcome === 'given_up' ? 'a job failed for the last time' : 'a job failed and will be repeated';
  log[outcome === 'given_up' ? 'error' : 'warn'](
    { err: error, job: job.name, jobId: claim.id, run: claim.retryCount },
    words,
  );
  return settle(log, job, () => store.fail(job.name, claim, why));
}

/** Where the database is away, the job is found silent later and runs once more: jobs may run twice. */
async function settle(log: Log, job: AnyJob, work: () => Promise<unknown>): Promise<void> {
  await work().catch((error: unknown) =>
    log.warn({ err: error, job: job.name }, 'the end of a job could not be written'),
  );
}

const opOf = (job: AnyJob, claim: Claim, clock: Clock, signal: AbortSignal): Op => ({
  actor: { kind: 'system', name: job.name },
  requestId: idOf('request', claim.id),
  now: clock.now(),
  signal,
});
