import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { Refusal } from '../api.ts';
import type { Session } from '../command.ts';
import { Failure } from '../failure.ts';
import { runAgent, runInside } from './agent.ts';
import { newAttempt, type AgentEnd, type Attempt, type Folder, type Plan, type SampleRecord } from './record.ts';
import type { Remote, RemoteSession } from './remote.ts';

/** What the samples of a run are worked on with. */
export type Run = {
  session: Session;
  remote: Remote;
  plan: Plan;
  folder: Folder;
  key: string;
  /** Ends agents, and begins no more. Gradings are waited for. */
  signal: AbortSignal;
};

/** A session outlives its agent by so much, for what comes before and after it. */
const MARGIN_MINUTES = 10;
const MAX_TTL_MINUTES = 24 * 60;
/** A grading may have to wait for others. */
const GRADING_MINUTES = 120;
/** What ends the whole run: the next sample would meet the same. */
const HOPELESS_STATUS = [401, 402, 403];

export const PROBLEM = 'problem.md';

/**
 * Works on a sample until there is a verdict, or a reason why there is none. Where an attempt was broken off, its
 * session is joined again; only one whose agent was at work is closed, since nobody knows what the agent had done.
 * Throws where the run as a whole cannot go on.
 */
export async function workOn(run: Run, record: SampleRecord): Promise<void> {
  const attempt = await takeUp(run, record);
  try {
    await carryOut(run, record, attempt);
    await finish(run, record, attempt);
    record.outcome = attempt.grade?.is_success ? 'solved' : 'unsolved';
  } catch (error) {
    await giveUp(run, record, attempt, error);
  }
  await run.folder.save(record);
}

async function takeUp(run: Run, record: SampleRecord): Promise<Attempt> {
  const last = record.attempts.at(-1);
  if (last && last.stage !== 'ended') {
    if (await mayGoOn(run, last)) return last;
    last.failure = 'It was broken off';
    await finish(run, record, last);
  }
  const attempt = newAttempt(record.attempts.length + 1);
  record.attempts.push(attempt);
  record.outcome = 'waiting';
  await run.folder.save(record);
  return attempt;
}

async function mayGoOn({ plan, remote }: Run, { stage, session_id: id, grade }: Attempt): Promise<boolean> {
  if (id === null || grade) return true;
  if (stage === 'agent' && !plan.in_session) return false;
  const { status } = await remote.session(id);
  return status === 'creating' || status === 'ready';
}

async function carryOut(run: Run, record: SampleRecord, attempt: Attempt): Promise<void> {
  const { remote, plan, signal } = run;
  const reach = async (stage: Attempt['stage']): Promise<void> => {
    attempt.stage = stage;
    await run.folder.save(record);
  };
  const name = `eval-${plan.run_id}-${record.sample_id}-${attempt.number}`;
  if (attempt.session_id === null) {
    const order = { dataset: plan.dataset, sample_id: record.sample_id, ttl_minutes: ttlOf(plan) };
    attempt.session_id = (await remote.open(order, name)).session_id;
    await reach('ready');
  }
  const id = attempt.session_id;
  if (!attempt.agent) {
    expectReady(await remote.settled(id, signal));
    await reach('agent');
    const agent = await work(run, record, id, `${name}-agent`);
    signal.throwIfAborted();
    attempt.agent = agent;
    await reach('worked');
  }
  if (attempt.grade) return;
  if (attempt.job_id === null) {
    await remote.extend(id, GRADING_MINUTES);
    attempt.job_id = (await remote.verify(id, `${name}-verify`)).job_id;
    await reach('verifying');
  }
  const { result, error } = await remote.graded(id, attempt.job_id);
  if (!result) throw new Failure(error?.message ?? 'The work was not graded');
  const { is_success, total, passed, failed, skipped } = result;
  attempt.grade = { is_success, total, passed, failed, skipped };
  await reach('verifying');
}

const ttlOf = ({ timeout_seconds: seconds }: Plan): number =>
  Math.min(MAX_TTL_MINUTES, Math.ceil((seconds * SECOND) / MINUTE) + MARGIN_MINUTES);

function expectReady({ status, error }: RemoteSession): void {
  if (status !== 'ready') throw new Failure(error?.message ?? `The session is ${status}`);
}

async function work(run: Run, { sample_id }: SampleRecord, sessionId: string, name: string): Promise<AgentEnd> {
  const { plan, folder, session, signal } = run;
  const dir = folder.sampleDir(sample_id);
  const order = {
    command: plan.agent,
    dir,
    timeoutMs: plan.timeout_seconds * SECOND,
    now: () => session.now(),
    signal,
  };
  if (plan.in_session) {
    const problem = await readFile(join(dir, PROBLEM), 'utf8');
    return runInside({ ...order, remote: run.remote, sessionId, problem, name });
  }
  const environment = {
    ...session.environment,
    PATH: [join(folder.dir, 'bin'), session.environment['PATH']].filter(Boolean).join(delimiter),
    FREEHOLD_URL: plan.server,
    FREEHOLD_API_KEY: run.key,
    // What the contract's own client reads.
    CODESET_BASE_URL: `${plan.server}/api/v1`,
    CODESET_API_KEY: run.key,
    FREEHOLD_DATASET: plan.dataset,
    FREEHOLD_SAMPLE_ID: sample_id,
    FREEHOLD_SESSION_ID: sessionId,
    FREEHOLD_PROBLEM_FILE: join(dir, PROBLEM),
  };
  return runAgent({ ...order, environment });
}

/** Closes the session of an attempt and writes down what it has cost. */
async function finish({ remote, folder }: Run, record: SampleRecord, attempt: Attempt): Promise<void> {
  if (attempt.session_id !== null) {
    const over = await remote.close(attempt.session_id);
    attempt.cost_microcents = over.cost_microcents;
    attempt.session_seconds = over.duration_seconds ?? 0;
  }
  attempt.stage = 'ended';
  await folder.save(record);
}

async function giveUp(run: Run, record: SampleRecord, attempt: Attempt, error: unknown): Promise<void> {
  const isInterrupt = run.signal.aborted && !(error instanceof Failure);
  if (!isInterrupt && !(error instanceof Failure)) throw error;
  attempt.failure = isInterrupt ? 'It was interrupted' : (error as Failure).message;
  record.outcome = isInterrupt || isHopeless(error) ? 'waiting' : 'error';
  await finish(run, record, attempt);
  if (isHopeless(error)) throw error;
}

const isHopeless = (error: unknown): error is Refusal =>
  error instanceof Refusal && HOPELESS_STATUS.includes(error.status);
