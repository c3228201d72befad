import { PgBoss, type Db as BossDb } from 'pg-boss';
import pg from 'pg';
import type { Tx } from '../db.ts';
import type { AnyJob, JobReference } from './definition.ts';

/** The schema that pg-boss keeps for itself. Nothing of a domain stands in it. */
const SCHEMA = 'jobs';
const APPLICATION_ROLE = 'freehold_app';
/** Wakes all processes when the transaction that enqueued commits; the payload is the name of the queue or sweep. */
export const CHANNEL = 'freehold_jobs';
const DEAD_LETTERS = 'dead';

const MAX_CONNECTIONS = 5;
const RETRY_LIMIT = 10;
/** A long job is interrupted by every restart of the server, and each time counts as a retry. */
const LONG_RETRY_LIMIT = 10_000;
const RETRY_DELAY_SECONDS = 1;
const RETRY_DELAY_MAX_SECONDS = 60;
const MOMENT_TIMEOUT_SECONDS = 300;
/** The longest that pg-boss takes. */
const LONG_TIMEOUT_SECONDS = 24 * 3600 - 1;
/** What is done is of no use to anybody; few rows keep looking for work fast. */
const KEEP_DONE_SECONDS = 3600;
/** Only a backstop: `findLost` notices a dead process long before. */
const BACKSTOP_HEARTBEAT_SECONDS = 600;

/** A job that this process has taken: its id, and which run of it this is. */
export type Claim = { id: string; retryCount: number; data: unknown };

export const timeoutSecondsOf = (job: AnyJob): number =>
  job.timeoutSeconds ?? (job.lasts === 'long' ? LONG_TIMEOUT_SECONDS : MOMENT_TIMEOUT_SECONDS);

export const retryLimitOf = (job: AnyJob): number =>
  job.retryLimit ?? (job.lasts === 'long' ? LONG_RETRY_LIMIT : RETRY_LIMIT);

/**
 * Installs or upgrades the tables of the job queue as their owner and lets the application work with them. Belongs to
 * the migrations; two processes at once are safe.
 */
export async function installJobs(ownerUrl: string): Promise<void> {
  const boss = new PgBoss({ connectionString: ownerUrl, schema: SCHEMA, schedule: false, supervise: false, max: 2 });
  const failures: Error[] = [];
  boss.on('error', (error) => failures.push(error));
  await boss.start();
  await boss.stop({ graceful: false });
  if (failures.length > 0) throw new AggregateError(failures, 'The job queue could not be installed.');
  await grantToApplication(ownerUrl);
}

/** Where the database is the operator's own, there may be no such role: then the owner itself serves. */
async function grantToApplication(ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [APPLICATION_ROLE]);
    if (rowCount === 0) return;
    await client.query(`
      GRANT USAGE ON SCHEMA ${SCHEMA} TO ${APPLICATION_ROLE};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${SCHEMA} TO ${APPLICATION_ROLE};
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${SCHEMA} TO ${APPLICATION_ROLE}`);
  } finally {
    await client.end();
  }
}

export type JobStore = ReturnType<typeof openJobStore>;

/** Jobs in PostgreSQL, kept by pg-boss. */
export function openJobStore(url: string, onError: (error: Error) => void) {
  const boss = new PgBoss({
    connectionString: url,
    schema: SCHEMA,
    application_name: 'freehold jobs',
    max: MAX_CONNECTIONS,
    migrate: false,
    schedule: false,
  });
  boss.on('error', onError);
  return {
    /** Connects and makes the queues; the tables must be installed. */
    async open(jobs: readonly AnyJob[]): Promise<void> {
      await boss.start();
      await boss.createQueue(DEAD_LETTERS);
      for (const job of jobs) await makeQueue(boss, job);
    },
    close: () => boss.stop({ graceful: false }),

    /** Puts a job into its queue when the transaction commits. */
    async add<Data extends object>(tx: Tx, job: JobReference<Data>, data: Data): Promise<void> {
      const db: BossDb = { executeSql: async (text, values) => ({ rows: await tx.query(text, values) }) };
      const key = job.key?.(data);
      // A job that waits is locked by the update until we commit: nobody starts it before our change can be seen.
      if (key === undefined) await boss.send(job.name, data, { db });
      else await boss.upsert(job.name, data, { db, singletonKey: key, group: { id: key }, startAfter: 0 });
      await notify(tx, job.name);
    },
    ...claiming(boss),
    ...looking(boss),
  };
}

/** Taking jobs and settling them. Each call is bound to one run: what came back in the meantime is not touched. */
const claiming = (boss: PgBoss) => ({
  /** Takes up to `count` jobs that nobody else has; of one key only one at a time. */
  take: (job: AnyJob, count: number): Promise<Claim[]> =>
    boss.fetch<object>(job.name, { batchSize: count, ...(job.key && { groupConcurrency: 1 }) }),

  complete: (name: string, { id, retryCount }: Claim) => boss.complete(name, { id, retryCount }),

  /** Counts a run as failed: the job waits and is retried, or has used up its retries. */
  fail: (name: string, { id, retryCount }: Claim, why: string) => boss.fail(name, { id, retryCount }, { message: why }),

  /** Gives a job back, to be taken at once by whoever is free. */
  async giveBack(name: string, { id, retryCount }: Omit<Claim, 'data'>, why: string): Promise<void> {
    await boss.fail(name, { id, retryCount }, { message: why });
    await boss.update(name, undefined, { id, startAfter: 0 });
  },

  /** Says that the claims are still worked on; answers the ids of those that are ours no more. */
  async beat(name: string, claims: readonly Claim[]): Promise<string[]> {
    const attempts = claims.map(({ id, retryCount }) => ({ id, retryCount }));
    const alive = await boss.touch(name, attempts);
    const ids = 'settled' in alive && Array.isArray(alive.settled) ? alive.settled : undefined;
    return ids ? claims.filter(({ id }) => !ids.includes(id)).map(({ id }) => id) : [];
  },
});

/** Questions about the queues. */
function looking(boss: PgBoss) {
  const select = async <Row>(text: string, values: unknown[]): Promise<Row[]> =>
    (await boss.getDb().executeSql(text, values)).rows;
  return {
    /** Names of the queues in which a job waits to be taken. */
    async waiting(names: readonly string[]): Promise<string[]> {
      const rows = await select<{ name: string }>(
        `SELECT name FROM unnest($1::text[]) AS queue (name)
          WHERE EXISTS (SELECT FROM ${SCHEMA}.job WHERE job.name = queue.name AND state < 'active' AND start_after <= now())`,
        [names],
      );
      return rows.map(({ name }) => name);
    },

    /** How many jobs of these queues wait or are being done. */
    async countDue(names: readonly string[]): Promise<number> {
      const rows = await select<{ due: number }>(
        `SELECT count(*)::int AS due FROM ${SCHEMA}.job
          WHERE name = ANY($1) AND (state = 'active' OR state < 'active' AND start_after <= now())`,
        [names],
      );
      return rows[0]?.due ?? 0;
    },

    /** Jobs whose process has not been heard of for some time. */
    silentFor: (
      seconds: number,
      names: readonly string[],
    ): Promise<{ name: string; id: string; retryCount: number }[]> =>
      select(
        `SELECT name, id, retry_count AS "retryCount" FROM ${SCHEMA}.job
          WHERE name = ANY($1) AND state = 'active' AND heartbeat_on < now() - make_interval(secs => $2)`,
        [names, seconds],
      ),
  };
}

export const notify = async (tx: Tx, name: string): Promise<void> => {
  await tx.query('SELECT pg_notify($1, $2)', [CHANNEL, name]);
};

async function makeQueue(boss: PgBoss, job: AnyJob): Promise<void> {
  const options = {
    retryLimit: retryLimitOf(job),
    retryDelay: RETRY_DELAY_SECONDS,
    retryDelayMax: RETRY_DELAY_MAX_SECONDS,
    retryBackoff: true,
    expireInSeconds: timeoutSecondsOf(job),
    deleteAfterSeconds: KEEP_DONE_SECONDS,
    heartbeatSeconds: BACKSTOP_HEARTBEAT_SECONDS,
    deadLetter: DEAD_LETTERS,
  };
  await boss.createQueue(job.name, { policy: job.key ? 'short' : 'standard', ...options });
  await boss.updateQueue(job.name, options);
}
