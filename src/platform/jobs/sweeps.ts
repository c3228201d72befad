import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { idOf } from '../../kernel/ids.ts';
import { SECOND, type Clock } from '../../kernel/time.ts';
import type { Log } from '../log.ts';
import type { SweepDefinition } from './definition.ts';
import type { Lock, Signals } from './signals.ts';

const LOCK_POLL_MS = 25;

export type SweepTools = { signals: Signals; clock: Clock; log: Log };

/** One repair loop, as far as this process runs it. */
export type Sweep = {
  readonly name: string;
  /** Repeats it at its interval, and at once when it is woken, until `ending` is aborted. */
  repeat(ending: AbortSignal): Promise<void>;
  wake(): void;
  /** Does everything that is due now, after whoever else is at it. Answers how much that was. */
  runNow(signal: AbortSignal): Promise<number>;
};

export function createSweep(definition: SweepDefinition, tools: SweepTools): Sweep {
  const { name, everySeconds } = definition;
  const { clock, log, signals } = tools;
  let last: Promise<unknown> = Promise.resolve();
  let wakeUp = Promise.withResolvers<void>();

  const runUntilDone = async (signal: AbortSignal): Promise<number> => {
    let total = 0;
    while (!signal.aborted) {
      const op = {
        actor: { kind: 'system' as const, name },
        requestId: idOf('request', randomUUID()),
        now: clock.now(),
        signal,
      };
      const found = await definition.runDue(op);
      if (found === 0) break;
      total += found;
    }
    return total;
  };

  /** The lock holds between processes; within this one, runs queue up behind each other. */
  const alone = (takeLock: () => Promise<Lock | undefined>, signal: AbortSignal): Promise<number> => {
    const run = last.then(async () => {
      const lock = await takeLock();
      return lock ? runUntilDone(signal).finally(() => lock.release()) : 0;
    });
    last = run.catch(() => {}); // the caller of this run hears of its failure, the next run must not
    return run;
  };

  return {
    name,
    wake: () => wakeUp.resolve(),
    async repeat(ending) {
      while (!ending.aborted) {
        wakeUp = Promise.withResolvers();
        await alone(() => signals.tryLock(name), ending).catch((error: unknown) =>
          log.error({ err: error, sweep: name }, 'a sweep failed'),
        );
        await pause(everySeconds * SECOND, wakeUp.promise, ending);
      }
    },
    runNow: (signal) => alone(() => lockWhenFree(signals, name, signal), signal),
  };
}

async function lockWhenFree(signals: Signals, name: string, signal: AbortSignal): Promise<Lock | undefined> {
  while (!signal.aborted) {
    const lock = await signals.tryLock(name);
    if (lock) return lock;
    await sleep(LOCK_POLL_MS);
  }
  return undefined;
}

async function pause(milliseconds: number, woken: Promise<void>, ending: AbortSignal): Promise<void> {
  const over = new AbortController();
  const signal = AbortSignal.any([ending, over.signal]);
  await Promise.race([sleep(milliseconds, undefined, { signal }).catch(() => {}), woken]); // an abort only cuts it short
  over.abort();
}
