import { AppError } from '../../kernel/errors.ts';
import type { Database } from '../../platform/db.ts';
import { sqlState } from '../../platform/db.ts';
import type { Command } from './command.ts';
import { apply, type Result } from './store.ts';

/** Commands that are committed together at the most. Fewer make a hot account slower, which pays for each flush. */
export const MAX_BATCH = 512;
/**
 * Batches under way at once. They mostly wait for each other's locks and for the disk; while one commits the next
 * grows, which is what makes one hot account as quick as many.
 */
const MAX_IN_FLIGHT = 2;
/** Commands that may wait; a database that stands still must not fill our memory with them. */
const MAX_WAITING = 50_000;
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK = '40P01';
const MAX_ATTEMPTS = 5;
/** Classes of errors that a command can cause by what it says: data exceptions, broken constraints, exhausted retries. */
const REFUSED = ['22', '23', '40'];

type Waiting = { command: Command; resolve: (result: Result) => void; reject: (error: unknown) => void };

/**
 * Commits commands that arrive together together: one round trip and one flush to disk for up to MAX_BATCH of them. Not
 * for use inside a transaction that has locked one of the accounts: it would wait for itself.
 */
export function createBatcher(db: Database): (command: Command) => Promise<Result> {
  let queue: Waiting[] = [];
  let inFlight = 0;
  let scheduled: 'no' | 'yes' = 'no';

  function schedule(): void {
    if (scheduled === 'yes' || queue.length === 0 || inFlight >= MAX_IN_FLIGHT) return;
    scheduled = 'yes';
    setImmediate(() => {
      scheduled = 'no';
      void flush();
    });
  }

  async function flush(): Promise<void> {
    const { batch, rest } = takeBatch(queue);
    if (batch.length === 0) return;
    queue = rest;
    inFlight++;
    schedule();
    try {
      await carryOut(db, batch);
    } finally {
      inFlight--;
      schedule();
    }
  }

  return (command) =>
    new Promise((resolve, reject) => {
      if (queue.length >= MAX_WAITING) throw new AppError('at_capacity', 'Server at capacity — try again later');
      queue.push({ command, resolve, reject });
      schedule();
    });
}

/** Never throws: each command that waits hears of its own result or error. */
async function carryOut(db: Database, batch: Waiting[]): Promise<void> {
  try {
    const results = await applyAgain(
      db,
      batch.map((waiting) => waiting.command),
    );
    for (const [n, waiting] of batch.entries()) settle(waiting, results[n]);
  } catch (error) {
    if (batch.length > 1 && isRefusal(error)) await halveAndCarryOut(db, batch);
    else for (const waiting of batch) waiting.reject(error);
  }
}

/** One command that the database refuses takes the whole batch with it; halving finds it and spares the others. */
async function halveAndCarryOut(db: Database, batch: Waiting[]): Promise<void> {
  const middle = Math.ceil(batch.length / 2);
  await carryOut(db, batch.slice(0, middle));
  await carryOut(db, batch.slice(middle));
}

/** Whether the database understood the batch and refused it: nothing was done, and a part of it may be fine. */
const isRefusal = (error: unknown): boolean =>
  REFUSED.some((refused) => sqlState(error).startsWith(refused)) || error instanceof TypeError;

function settle(waiting: Waiting, result: Result | undefined): void {
  if (result) waiting.resolve(result);
  else waiting.reject(new Error('the ledger answered fewer results than it had commands'));
}

/** No id and no hold stands in a batch twice: the later one waits for the next batch. */
function takeBatch(queue: Waiting[]): { batch: Waiting[]; rest: Waiting[] } {
  const named = new Set<string>();
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  for (const waiting of queue) {
    const { id, hold_id: holdId } = waiting.command;
    if (batch.length === MAX_BATCH || named.has(id) || (holdId && named.has(holdId))) {
      rest.push(waiting);
      continue;
    }
    named.add(id);
    if (holdId) named.add(holdId);
    batch.push(waiting);
  }
  return { batch, rest };
}

async function applyAgain(db: Database, commands: Command[]): Promise<Result[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await apply(db, commands);
    } catch (error) {
      const isRetryable = [SERIALIZATION_FAILURE, DEADLOCK].includes(sqlState(error));
      if (!isRetryable || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}
