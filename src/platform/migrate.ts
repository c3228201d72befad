import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import pg from 'pg';
import { AppError } from '../kernel/errors.ts';

const APPLICATION_ROLE = 'freehold_app';
const MIGRATIONS = join(import.meta.dirname, '../../migrations');

const OLDEST_VERSION = 15;
const PER_MAJOR_VERSION = 10_000;

/** Throws `unconfigured` with one sentence where an operator's own database cannot be used. */
export async function probeDatabase(url: string): Promise<void> {
  const unusable = (why: string, cause?: unknown): AppError =>
    new AppError('unconfigured', `The database of FREEHOLD_DATABASE_URL cannot be used: ${why}`, { cause });
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const { rows } = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    const version = Math.floor((rows[0]?.version ?? 0) / PER_MAJOR_VERSION);
    if (version < OLDEST_VERSION) throw unusable(`it is PostgreSQL ${version}, and ${OLDEST_VERSION} is the oldest`);
  } catch (error) {
    throw error instanceof AppError ? error : unusable(wordsOf(error), error);
  } finally {
    await client.end();
  }
}

/** Where a name has several addresses, each of them failed for a reason of its own. */
const wordsOf = (error: unknown): string =>
  error instanceof AggregateError ? error.errors.map(wordsOf).join('; ') : (error as Error).message;

/**
 * Brings the database at `url` (as its owner) to the newest schema and answers the names of what was applied. Two
 * processes at once are safe: the second waits for the first.
 */
export async function migrate(url: string): Promise<string[]> {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }),
  });
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: readMigrations } });
    const { error, results } = await migrator.migrateToLatest();
    if (error) throw new Error('The database could not be migrated.', { cause: error });
    return (results ?? []).map((result) => result.migrationName);
  } finally {
    await db.destroy();
  }
}

/**
 * The address under which the server works on a database whose owner is known: as the application role where the owner
 * may take it on, else as the owner.
 */
export async function applicationUrl(ownerUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query(
      `select from pg_roles where rolname = $1 and pg_has_role(current_user, oid, 'member')`,
      [APPLICATION_ROLE],
    );
    if (!rowCount) return ownerUrl;
  } finally {
    await client.end();
  }
  const url = new URL(ownerUrl);
  url.searchParams.set('options', `-c role=${APPLICATION_ROLE}`);
  return url.href;
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const files = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.sql')).toSorted();
  const read = async (file: string): Promise<[string, Migration]> => {
    const text = await readFile(join(MIGRATIONS, file), 'utf8');
    return [file.slice(0, -'.sql'.length), { up: async (db) => void (await sql.raw(text).execute(db)) }];
  };
  return Object.fromEntries(await Promise.all(files.map(read)));
}
