import type { Api } from '../api.ts';
import { show, type Command } from '../command.ts';
import { brief, dollars, fields, moment, plural, table } from '../layout.ts';
import { presentStep, type StepsPage } from '../step.ts';
import { answerOf, hasEnded, paintStatus, receipt, taskPath, wordEnd, type Task } from '../task.ts';
import { harmless, type Terminal } from '../terminal.ts';

const PROMPT_CHARACTERS = 48;
const PAGE = 100;

type Listed = {
  id: string;
  status: string;
  budget_cents: number;
  spent_cents: number;
  prompt_preview: string;
  model_slug: string;
  created_at: string;
};

const list: Command = {
  name: 'task list',
  summary: 'List your tasks, newest first',
  options: { limit: { kind: 'text', value: 'N', says: 'How many, up to 100 (20)' } },
  async run(session, given) {
    const limit = given.count('limit') ?? 20;
    const reply = await (await session.account()).get<{ tasks: Listed[] }>(`/v1/tasks?limit=${limit}`);
    show(session, reply, ({ tasks }) =>
      table(
        tasks,
        [
          { title: 'id', of: (task) => task.id },
          { title: 'status', of: (task) => task.status },
          { title: 'spent', of: (task) => dollars(task.spent_cents), side: 'right' },
          { title: 'budget', of: (task) => dollars(task.budget_cents), side: 'right' },
          { title: 'model', of: (task) => task.model_slug },
          { title: 'created (utc)', of: (task) => moment(task.created_at) },
          { title: 'prompt', of: (task) => brief(harmless(task.prompt_preview), PROMPT_CHARACTERS) },
        ],
        { paint: session.terminal.paint, empty: 'You have no tasks yet: try `freehold task run "…"`.' },
      ),
    );
  },
};

const showTask: Command = {
  name: 'task show',
  summary: 'Show a task, its result and what it cost',
  positionals: ['ID'],
  async run(session, given) {
    const reply = await (await session.account()).get<Task>(taskPath(given.positional('ID')));
    show(session, reply, (task) => presentTask(task, session.terminal));
  },
};

function presentTask(task: Task, { paint, foreign }: Terminal): string {
  const rows: [string, string][] = [
    ['task', task.id],
    ['status', paintStatus(task.status, paint)],
    ['created', moment(task.created_at)],
    ['started', moment(task.started_at)],
    ['completed', moment(task.completed_at)],
  ];
  const end = hasEnded(task) && task.status !== 'succeeded' ? foreign(wordEnd(task)) : '';
  return [fields(rows, paint), receipt(task, paint), end, foreign(answerOf(task))].filter(Boolean).join('\n\n');
}

const steps: Command = {
  name: 'task steps',
  summary: 'Show what a task did',
  about: `With --json one page of the steps is printed; --after the next_cursor of a page gives the next one.`,
  positionals: ['ID'],
  options: {
    after: { kind: 'text', value: 'NUMBER', says: 'Only steps after that one (0)' },
    limit: { kind: 'text', value: 'N', says: 'How many, up to 100; without it all of them, or 100 with --json' },
  },
  async run(session, given) {
    const path = `${taskPath(given.positional('ID'))}/steps`;
    const after = given.count('after', 0) ?? 0;
    const limit = given.count('limit');
    const api = await session.account();
    const { terminal, output } = session;
    if (output === 'json') {
      const page = await api.get<StepsPage>(`${path}?after=${after}&limit=${limit ?? PAGE}`);
      return terminal.print(page.text);
    }
    const found = await printPages(terminal, api, { path, after, limit });
    if (found === 0) terminal.print('The task has done nothing yet.');
    else terminal.say(terminal.paintSaid('dim', plural(found, 'step')));
  },
};

type Range = { path: string; after: number; limit: number | undefined };

/** Prints every page, or only as many steps as `limit` says; answers how many there were. */
async function printPages(terminal: Terminal, api: Api, { path, after, limit }: Range): Promise<number> {
  let cursor: number | null = after;
  let found = 0;
  while (cursor !== null) {
    const page: StepsPage = (await api.get<StepsPage>(`${path}?after=${cursor}&limit=${limit ?? PAGE}`)).body;
    for (const step of page.steps) terminal.print(presentStep(step, terminal.paint, 'whole'));
    found += page.steps.length;
    cursor = limit === undefined ? page.next_cursor : null;
  }
  return found;
}

const cancel: Command = {
  name: 'task cancel',
  summary: 'Cancel a task; what it has not used is given back',
  positionals: ['ID'],
  async run(session, given) {
    const path = `${taskPath(given.positional('ID'))}/cancel`;
    show(session, await (await session.account()).post<{ id: string }>(path), ({ id }) => `Task ${id} is cancelled.`);
  },
};

export const taskCommands: Command[] = [list, showTask, steps, cancel];
