import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Log } from '../log.ts';
import { CHANNEL } from './store.ts';

export type Lock = { release(): Promise<void> };

/**
 * A connection of its own that hears of new work and holds the locks of sweeps. Both end with the connection, so a
 * killed process leaves neither behind.
 */
export type Signals = {
  /** Takes a lock that one process at a time has; undefined where another has it, or the database is away. */
  tryLock(name: string): Promise<Lock | undefined>;
  /** Resolves with the first connection. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
};

const RECONNECT_PAUSE_MS = 250;
const LOCK_KEY = `hashtextextended('freehold:' || $1, 0)`;
const nothing = (): void => {};

/** `onSignal` gets the name of what was enqueued, or undefined where something may have been missed. */
export function openSignals(url: string, log: Log, onSignal: (name: string | undefined) => void): Signals {
  const closing = new AbortController();
  const closed = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()));
  const ready = Promise.withResolvers<void>();
  let connected: pg.Client | undefined;
  let asked: Promise<unknown> = Promise.resolve();

  /** A connection takes one statement at a time. */
  const ask = <Row extends pg.QueryResultRow>(client: pg.Client, text: string, name: string): Promise<Row[]> => {
    const answer = asked.then(async () => (await client.query<Row>(text, [name])).rows);
    asked = answer.catch(nothing); // its caller hears of the failure, the next one must not
    return answer;
  };

  const connectOnce = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: url, application_name: 'freehold signals' });
    const broken = new Promise<void>((resolve) => {
      client.on('error', (error) => log.warn({ err: error }, 'the connection for job signals broke'));
      client.on('end', () => resolve());
    });
    client.on('notification', ({ payload }) => onSignal(payload));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      connected = client;
      ready.resolve();
      onSignal(undefined);
      await Promise.race([broken, closed]);
    } finally {
      connected = undefined;
      await client.end().catch(nothing); // it is broken or we leave: nothing is lost with it
    }
  };

  const keepConnected = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await connectOnce().catch((error: unknown) => log.warn({ err: error }, 'no connection for job signals'));
      await sleep(RECONNECT_PAUSE_MS, undefined, { signal: closing.signal }).catch(nothing); // cut short by close
    }
  };
  const kept = keepConnected();

  return {
    ready: ready.promise,
    async tryLock(name) {
      const client = connected;
      if (!client) return undefined;
      const [row] = await ask<{ taken: boolean }>(client, `SELECT pg_try_advisory_lock(${LOCK_KEY}) AS taken`, name);
      if (!row?.taken) return undefined;
      // Where the connection is gone, so is the lock.
      const release = () => ask(client, `SELECT pg_advisory_unlock(${LOCK_KEY})`, name).then(nothing, nothing);
      return { release };
    },
    async close() {
      closing.abort();
      await kept;
    },
  };
}
