import { workOn, type Run } from './attempt.ts';
import { tellProgress } from './progress.ts';
import type { SampleRecord } from './record.ts';

/** Works on every sample that has no verdict yet, so many at a time. Throws what made it stop, once nothing is under way. */
export async function runAll(run: Run, records: readonly SampleRecord[], concurrency: number): Promise<void> {
  const progress = tellProgress(run.session, records);
  const waiting = records.filter(({ outcome }) => outcome === 'waiting' || outcome === 'error');
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (!run.signal.aborted && failures.length === 0) {
      const record = waiting.shift();
      if (!record) return;
      try {
        await workOn(run, record);
        progress.ended(record);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const told = (): void => progress.say('Interrupted: sessions are closed, gradings are waited for …');
  run.signal.addEventListener('abort', told, { once: true });
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, waiting.length) }, worker));
  } finally {
    run.signal.removeEventListener('abort', told);
    progress.stop();
  }
  if (failures.length > 0) throw failures[0];
}
