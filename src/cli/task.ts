import { brief, dollars, fields, finePrice } from './layout.ts';
import type { Paint } from './terminal.ts';

/** A task as the API shows it. */
export type Task = {
  id: string;
  status: string;
  budget_cents: number;
  cost: {
    compute_seconds: number;
    inference_microcents: number;
    compute_microcents: number;
    markup_bps: number;
    spent_cents: number;
    refunded_cents: number;
  };
  result?: { text: string; json: unknown };
  error?: { code: string; message: string };
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
};

/** A reason is one sentence; a model may have written more. */
const LONGEST_REASON = 500;

const UNFINISHED = ['queued', 'provisioning', 'running'];
export const hasEnded = ({ status }: Task): boolean => !UNFINISHED.includes(status);

export const taskPath = (id: string): string => `/v1/tasks/${encodeURIComponent(id)}`;

export const paintStatus = (status: string, paint: Paint): string =>
  paint(status === 'succeeded' ? 'green' : UNFINISHED.includes(status) ? 'yellow' : 'red', status);

/** What the task answered: its text, and its data where it has any. */
export const answerOf = ({ result }: Task): string =>
  [result?.text, (result?.json ?? null) === null ? '' : JSON.stringify(result?.json, undefined, 2)]
    .filter(Boolean)
    .join('\n\n');

/** Where the money went, or goes until the task has ended. */
export function receipt(task: Task, paint: Paint): string {
  const { cost } = task;
  const markup = `with ${cost.markup_bps / 100} % on each, rounded up to the cent`;
  return fields(
    [
      ['reserved', dollars(task.budget_cents)],
      ['machine', `${finePrice(cost.compute_microcents)}  ${paint('dim', `${cost.compute_seconds} s`)}`],
      ['model', finePrice(cost.inference_microcents)],
      [hasEnded(task) ? 'spent' : 'spent so far', `${dollars(cost.spent_cents).padEnd(9)}  ${paint('dim', markup)}`],
      ...(hasEnded(task) ? [['returned', dollars(cost.refunded_cents)] as [string, string]] : []),
    ],
    paint,
  );
}

const HOW = { failed: 'The task failed', timed_out: 'The task ran out of time', cancelled: 'The task was cancelled' };

/** One sentence about a task that did not succeed. */
export function wordEnd({ status, error }: Task): string {
  const how = HOW[status as keyof typeof HOW] ?? `The task is ${status}`;
  const why = brief(error?.message ?? how, LONGEST_REASON).replace(/\.$/, '');
  return why === how ? `${how}.` : `${how}: ${why}.`;
}
