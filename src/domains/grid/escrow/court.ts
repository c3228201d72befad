import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { SECOND } from '../../../kernel/time.ts';
import type { Case, Verdict } from './promises.ts';
import type { Answer } from './court-worker.ts';

/** A case is a matter of microseconds; what takes so long was made to. */
const TIME_LIMIT_MS = 2 * SECOND;
const MEMORY_LIMIT_MB = 256;
/** The thread is ended after this time without a case: the languages that it knows take memory. */
const IDLE_MS = 30 * SECOND;

/** `overran`: it was stopped, and nobody knows what would have come of it. */
export type Heard = { verdict: Verdict } | { overran: string };

/**
 * Where cases are judged: schemas and patterns that customers wrote run in a thread that is ended when they take too
 * long or too much memory, so that no pattern holds up this process.
 */
export type Court = {
  /** One after the other, answered in their order. */
  hear(cases: readonly Case[]): Promise<Heard[]>;
  close(): Promise<void>;
};

export function createCourt(timeLimitMs: number = TIME_LIMIT_MS): Court {
  let worker: Worker | undefined;
  let idle: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const dismiss = async (): Promise<void> => {
    const leaving = worker;
    worker = undefined;
    await leaving?.terminate();
  };

  const hearOne = async (heard: Case): Promise<Heard> => {
    worker ??= await openWorker(() => (worker = undefined));
    const answer = await answerWithin(worker, heard, timeLimitMs);
    if ('verdict' in answer) return answer;
    if (answer.ended) await dismiss();
    return { overran: answer.failed };
  };

  const hearAll = async (cases: readonly Case[]): Promise<Heard[]> => {
    clearTimeout(idle);
    const all: Heard[] = [];
    for (const heard of cases) all.push(await hearOne(heard));
    idle = setTimeout(() => void dismiss(), IDLE_MS).unref();
    return all;
  };

  return {
    hear(cases) {
      if (cases.length === 0) return Promise.resolve([]);
      const hearing = last.then(() => hearAll(cases));
      last = hearing.catch(() => {}); // whoever asked hears of it, the next must not
      return hearing;
    },
    async close() {
      clearTimeout(idle);
      await last;
      await dismiss();
    },
  };
}

async function openWorker(onEnd: () => void): Promise<Worker> {
  const worker = new Worker(new URL('./court-worker.ts', import.meta.url), {
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB },
  });
  await once(worker, 'message');
  // It may end between two cases as well, which is nobody's failure.
  worker.on('error', () => {}).on('exit', onEnd);
  worker.unref();
  return worker;
}

type Reply = { verdict: Verdict } | { failed: string; ended: boolean };

function answerWithin(worker: Worker, heard: Case, timeLimitMs: number): Promise<Reply> {
  return new Promise((resolve) => {
    const settle = (reply: Reply): void => {
      clearTimeout(timer);
      worker.off('message', onAnswer).off('error', onEnd).off('exit', onEnd);
      resolve(reply);
    };
    const onAnswer = (answer: Answer) => settle('verdict' in answer ? answer : { failed: answer.failed, ended: false });
    // Out of memory ends the thread by an error; its exit would come after.
    const onEnd = (reason: unknown) =>
      settle({ failed: reason instanceof Error ? reason.message : 'The judging thread ended', ended: true });
    const timer = setTimeout(() => onEnd(new Error(`Took longer than ${timeLimitMs} ms`)), timeLimitMs);
    worker.on('message', onAnswer).on('error', onEnd).on('exit', onEnd);
    worker.postMessage(heard, []);
  });
}
