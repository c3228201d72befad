import { setTimeout as sleep } from 'node:timers/promises';
import { SECOND } from '../kernel/time.ts';
import type { Api, Reply } from './api.ts';
import type { Session } from './command.ts';
import { patiently as askPatiently } from './patience.ts';
import { presentStep, saysAnything, type StepsPage } from './step.ts';
import { hasEnded, taskPath, type Task } from './task.ts';

/**
 * An account may make sixty requests a minute and two are made each time, so that a long task leaves half of them to
 * others.
 */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4 * SECOND;
const SLOWDOWN = 1.5;

const PAGE = 100;

export type Followed = { api: Api; id: string; signal: AbortSignal };

/** Tells each step once it is done, until the task has ended. Rejects with the signal's reason where that comes first. */
export async function follow(session: Session, task: Followed): Promise<Reply<Task>> {
  const { terminal, output } = session;
  let told = 0;
  let status = '';
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * SLOWDOWN, LONGEST_PAUSE_MS)) {
    const reply = await patiently(task, ({ api, id, signal }) => api.get<Task>(taskPath(id), { signal }));
    if (output === 'text') {
      if (reply.body.status !== status && !hasEnded(reply.body))
        terminal.say(terminal.paintSaid('dim', `${reply.body.status} …`));
      // Asked for after the task: one that has ended has all its steps.
      if (reply.body.started_at) told = await tellSteps(session, task, told);
    }
    if (hasEnded(reply.body)) return reply;
    status = reply.body.status;
    await sleep(pauseMs, undefined, { signal: task.signal });
  }
}

/** Tells the finished steps after number `told`, and answers the number of the last one. */
async function tellSteps({ terminal }: Session, task: Followed, told: number): Promise<number> {
  let last = told;
  for (;;) {
    const after = last;
    const { body } = await patiently(task, ({ api, id, signal }) =>
      api.get<StepsPage>(`${taskPath(id)}/steps?after=${after}&limit=${PAGE}`, { signal }),
    );
    for (const step of body.steps) {
      if (step.state === 'started') return last;
      if (saysAnything(step)) terminal.say(presentStep(step, terminal.paintSaid, 'brief'));
      last = step.number;
    }
    if (!body.has_more) return last;
  }
}

/** Asks again while the server is away or refuses for the moment only. */
const patiently = <Result>(task: Followed, ask: (task: Followed) => Promise<Result>): Promise<Result> =>
  askPatiently(() => ask(task), { signal: task.signal, advice: whereToLook(task.id) });

export const whereToLook = (id: string): string =>
  `The task goes on: see \`freehold task show ${id}\`, stop it with \`freehold task cancel ${id}\`.`;
