import { setTimeout as sleep } from 'node:timers/promises';
import { MINUTE, SECOND } from '../kernel/time.ts';
import { Refusal, Unreachable } from './api.ts';
import { Failure } from './failure.ts';

/** How long a server may be away or refuse for the moment, e.g. while it is started again. */
const PATIENCE_MS = 2 * MINUTE;
const PASSING_STATUS = [429, 502, 503, 504];

export type Patience = {
  signal?: AbortSignal | undefined;
  patienceMs?: number | undefined;
  /** What is said beside the reason when it is over. */
  advice?: string | undefined;
};

/** Asks again while the server is away or refuses for the moment only. */
export async function patiently<Result>(
  ask: () => Promise<Result>,
  { signal, patienceMs = PATIENCE_MS, advice }: Patience,
): Promise<Result> {
  let waitedMs = 0;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const pauseMs = pauseAfter(error);
      if (pauseMs === undefined) throw error;
      waitedMs += pauseMs;
      if (waitedMs > patienceMs) throw new Failure([(error as Failure).message, advice].filter(Boolean).join(' '));
      await sleep(pauseMs, undefined, signal && { signal });
    }
  }
}

/** Milliseconds to wait before asking again; undefined where that does not help. */
function pauseAfter(error: unknown): number | undefined {
  if (error instanceof Unreachable) return SECOND;
  if (!(error instanceof Refusal) || !PASSING_STATUS.includes(error.status)) return undefined;
  return Math.max(1, error.retryAfterSeconds ?? 1) * SECOND;
}
