import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Locks between processes of one machine which the kernel takes back when their holder dies, however it dies. Node
 * has no flock; SQLite's own file locks are the same thing (fcntl), so an empty database file serves as the lock.
 */
export type HeldLock = { release(): void };

const POLL_MS = 20;
const SQLITE_BUSY = 5;

/** Takes the lock for this holder alone, as soon as nobody else has it in any way. */
export const lockExclusive = (file: string): Promise<HeldLock> => untilHeld(() => tryLockExclusive(file));

/** Takes the lock together with others; waits while somebody has it alone. */
export const lockShared = (file: string): Promise<HeldLock> =>
  untilHeld(() => tryLock(file, 'BEGIN; SELECT 1 FROM sqlite_schema'));

/** Takes the lock for this holder alone, or answers undefined at once where anybody else has it. */
export const tryLockExclusive = (file: string): HeldLock | undefined => tryLock(file, 'BEGIN EXCLUSIVE');

async function untilHeld(attempt: () => HeldLock | undefined): Promise<HeldLock> {
  for (;;) {
    const lock = attempt();
    if (lock) return lock;
    await sleep(POLL_MS);
  }
}

function tryLock(file: string, statements: string): HeldLock | undefined {
  const handle = new DatabaseSync(file);
  try {
    handle.exec(statements);
    return { release: () => handle.close() };
  } catch (error) {
    handle.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
