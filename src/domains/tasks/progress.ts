import type { Run, RunDeps } from './run.ts';
import { noteProgress } from './step-store.ts';

/**
 * Keeps what a command has printed so far: whoever looks at the task sees it, and a worker that dies takes no more
 * than the last second of it along.
 */
export async function keepProgress({ db }: Pick<RunDeps, 'db'>, { holding, progress }: Run): Promise<void> {
  if (!progress) return;
  const output = progress.look();
  const text = JSON.stringify(output);
  if (text === progress.saved) return;
  await db.transact((tx) => noteProgress(tx, holding, progress.step, output));
  progress.saved = text;
}
