import type pg from 'pg';
import { sqlState } from '../db.ts';

/** Owns the schema: migrations run as it. */
export const OWNER = 'freehold';
/** Serves: it owns nothing, so a defect of ours can do no more than it was granted. */
export const APPLICATION = 'freehold_app';
export const DATABASE = 'freehold';

/** What the owner may do beyond its own schema: look at the server, end sessions, act as the application. */
const OWNER_MEMBERSHIPS = ['pg_monitor', 'pg_signal_backend', 'pg_checkpoint', APPLICATION];

/** Makes the roles and the database where they are missing; as the superuser, under the start lock. */
export async function ensureRoles(superuser: pg.Client): Promise<void> {
  await ensureRole(superuser, APPLICATION, '');
  await ensureRole(superuser, OWNER, 'CREATEDB');
  await superuser.query(`GRANT ${OWNER_MEMBERSHIPS.join(', ')} TO ${OWNER}`);
  const { rowCount } = await superuser.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) await made(superuser, `CREATE DATABASE ${DATABASE} OWNER ${OWNER}`);
}

/** unique_violation, duplicate_database, duplicate_object. */
const IS_THERE = new Set(['23505', '42P04', '42710']);

/** What a starter asked for that was killed meanwhile, the server may still have been making when we looked for it. */
async function made(superuser: pg.Client, statement: string): Promise<void> {
  await superuser.query(statement).catch((error: unknown) => {
    if (!IS_THERE.has(sqlState(error))) throw error;
  });
}

async function ensureRole(superuser: pg.Client, name: string, powers: string): Promise<void> {
  const { rowCount } = await superuser.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
  if (rowCount === 0) await made(superuser, `CREATE ROLE ${name} LOGIN ${powers}`);
}
