import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, type Transaction } from 'kysely';
import pg from 'pg';

/** What a reader may do with a domain's tables `T`. */
export type Reader<T> = Pick<Kysely<T>, 'selectFrom' | 'with' | 'fn'>;

/** Reads. Every reader function takes one; a `Tx` will do as well. */
export interface Db {
  /** The tables of one domain, read only. Each domain's `store.ts` names its own row interfaces. */
  tables<T>(): Reader<T>;
  /** Rows of one statement written in SQL. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
}

declare const writes: unique symbol;

/** Writes. Only `transact` makes one, so a writer outside a transaction does not compile. */
export interface Tx extends Db {
  readonly [writes]: true;
  tables<T>(): Transaction<T>;
}

/** The database: readable at once, writable inside `transact`. */
export interface Database extends Db {
  /** Runs `work` in one transaction at READ COMMITTED; rolls back when it throws; retries it when PostgreSQL asks to. */
  transact<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>;
  /** Throws where the database does not answer. */
  ping(): Promise<void>;
  readonly pool: pg.Pool;
  close(): Promise<void>;
}

export type DatabaseOptions = {
  url: string;
  /** Connections of this process at the most. */
  maxConnections?: number;
  onError: (error: Error) => void;
};

const MAX_CONNECTIONS = 20;
/** A transaction of a process that was frozen must not hold its locks for ever. */
const IDLE_IN_TRANSACTION_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Deadlocks and serialisation failures are PostgreSQL's way of saying "once more". */
const RETRYABLE = new Set(['40001', '40P01']);
const MAX_ATTEMPTS = 5;

// int8 and numeric as exact values: money must not pass through a float. Timestamps stay `Date`.
const INT8 = 20;
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === INT8 && format !== 'binary' ? BigInt : pg.types.getTypeParser(oid, format),
};

export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.maxConnections ?? MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    types,
  });
  pool.on('error', options.onError);
  // A connection that breaks between being lent and being used is heard by nobody else, and an 'error' event that
  // nobody hears ends the process. The query on it fails, and that is what its caller sees.
  pool.on('connect', (client) => client.on('error', () => {}));
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  return {
    pool,
    tables: <T>() => kysely as unknown as Reader<T>,
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await pool.query<Row>(text, values)).rows,
    ping: async () => void (await pool.query('select 1')),
    transact: (work) => attempt(pool, work),
    // Not Kysely's `destroy`: it leaves a pool alone that only plain SQL has used.
    close: () => pool.end(),
  };
}

async function attempt<Result>(pool: pg.Pool, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await inTransaction(pool, work);
    } catch (error) {
      if (tries === MAX_ATTEMPTS || !RETRYABLE.has(sqlState(error))) throw error;
    }
  }
}

async function inTransaction<Result>(pool: pg.Pool, work: (tx: Tx) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onBroken = (error: Error) => (broken = error);
  client.on('error', onBroken);
  try {
    await client.query('BEGIN');
    const result = await work(txOver(client));
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
    throw error;
  } finally {
    client.off('error', onBroken);
    client.release(broken);
  }
}

/**
 * This transaction need not reach the disk by itself: a later commit takes it along, and where the database dies before
 * that, both are lost. Only for what has no consequence outside the database until that later commit.
 */
export async function commitLazily(tx: Tx): Promise<void> {
  await tx.query(`select set_config('synchronous_commit', 'off', true)`);
}

/** Kysely over a connection that is already in a transaction. */
function txOver(client: pg.PoolClient): Tx {
  // The connection stays ours: Kysely may use it and give it back, but neither begins nor ends anything on it.
  const lent: PostgresPoolClient = {
    query: client.query.bind(client),
    release: () => {},
  };
  const pool: PostgresPool = { options: {}, connect: async () => lent, end: async () => {} };
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  return {
    tables: <T>() => kysely as unknown as Transaction<T>,
    query: async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
      (await client.query<Row>(text, values)).rows,
  } as Tx;
}

/** SQLSTATEs that say "no database right now" and nothing of the statement. */
const AWAY = /^(08...|57P0[123]|53300)$/;
/** What `pg` and the system say in words only. */
const AWAY_IN_WORDS = /^(Connection terminated|timeout exceeded when trying to connect|connect E|read E|write E)/;

/** Whether an error means that the database was not there, so that the same request may succeed a moment later. */
export const isDatabaseAway = (error: unknown): boolean =>
  error instanceof Error && (AWAY.test(sqlState(error)) || AWAY_IN_WORDS.test(error.message));

/** The SQLSTATE of a database error, or an empty string for anything else. */
export const sqlState = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
