import type { Api, Reply } from '../api.ts';
import type { Arguments } from '../arguments.ts';
import { show, type Command, type Session } from '../command.ts';
import { Failure } from '../failure.ts';
import { follow, whereToLook } from '../follow.ts';
import { dollars } from '../layout.ts';
import { answerOf, paintStatus, receipt, wordEnd, type Task } from '../task.ts';

const DEFAULT_BUDGET_CENTS = 100;
/** What a shell makes of a program that an interrupt ended. */
const EXIT_INTERRUPTED = 130;

type Taken = { id: string; status: string; budget_cents: number };

export const runTask: Command = {
  name: 'task run',
  summary: 'Give a task to a model with a machine of its own, and wait for its result',
  about: `PROMPT is the task in words, or - to read it from standard input. The result is printed; the steps, the
receipt and everything else go to the error stream. Ends with 1 where the task does not succeed.
An interrupt (Ctrl-C) leaves the task running.`,
  positionals: ['PROMPT'],
  options: {
    budget: {
      kind: 'text',
      value: 'CENTS',
      says: `What it may cost at most (${DEFAULT_BUDGET_CENTS}); unspent money returns`,
    },
    timeout: { kind: 'text', value: 'SECONDS', says: 'How long it may take (600)' },
    model: { kind: 'text', value: 'SLUG', says: 'One of `freehold models`' },
    webhook: { kind: 'text', value: 'URL', says: 'HTTPS address that is told when the task has ended' },
    'idempotency-key': { kind: 'text', value: 'KEY', says: 'The same key gives the same task again, not a second one' },
    follow: { kind: 'flag', says: 'Wait for the end; this is so unless --no-follow is given' },
  },
  async run(session, given) {
    const body = await readOrder(session, given);
    const api = await session.account();
    const taken = await api.post<Taken>('/v1/tasks', { body });
    const { id, budget_cents: budget } = taken.body;
    const { terminal } = session;
    if (given.flag('follow') === false) return show(session, taken, () => id);
    if (session.output === 'text') terminal.say(`Task ${id}, ${dollars(budget)} reserved`);
    const ended = await followToEnd(session, api, id);
    if (ended) showEnd(session, ended);
  },
};

async function readOrder({ terminal }: Session, given: Arguments): Promise<object> {
  const prompt = given.positional('PROMPT');
  return {
    budget_cents: given.count('budget') ?? DEFAULT_BUDGET_CENTS,
    timeout_seconds: given.count('timeout'),
    model_slug: given.text('model'),
    webhook_url: given.text('webhook'),
    idempotency_key: given.text('idempotency-key'),
    prompt: prompt === '-' ? await terminal.readInput() : prompt,
  };
}

/** The ended task; undefined where an interrupt came first. */
async function followToEnd(session: Session, api: Api, id: string): Promise<Reply<Task> | undefined> {
  const signal = session.terminal.interrupted();
  try {
    return await follow(session, { api, id, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    session.terminal.say(`\n${whereToLook(id)}`);
    process.exitCode = EXIT_INTERRUPTED;
    return undefined;
  }
}

function showEnd(session: Session, ended: Reply<Task>): void {
  const { terminal, output } = session;
  const task = ended.body;
  const answer = answerOf(task);
  if (output === 'json') terminal.print(ended.text);
  else {
    const { paintSaid } = terminal;
    terminal.say(`${paintStatus(task.status, paintSaid)}\n\n${receipt(task, paintSaid)}\n`);
    if (answer) terminal.print(terminal.foreign(answer));
  }
  if (task.status !== 'succeeded') throw new Failure(wordEnd(task));
}
