/** Judges one case after the other in a thread of its own, which `court.ts` ends when a case takes too long. */
import { parentPort } from 'node:worker_threads';
import { judge } from './judge.ts';
import type { Case, Verdict } from './promises.ts';

export type Answer = { verdict: Verdict } | { failed: string };

parentPort?.on('message', (heard: Case) => {
  parentPort?.postMessage(answerOf(heard), []);
});
// What it stands on is loaded: from here on every moment is the case's own.
parentPort?.postMessage('ready', []);

function answerOf(heard: Case): Answer {
  try {
    return { verdict: judge(heard) };
  } catch (error) {
    // A schema can make the validator run out of stack: that is no verdict, and no reason to end the thread.
    return { failed: String(error) };
  }
}
