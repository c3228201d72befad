import type pg from 'pg';

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
  if (rowCount === 0) await superuser.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER}`);
}

async function ensureRole(superuser: pg.Client, name: string, powers: string): Promise<void> {
  const { rowCount } = await superuser.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
  if (rowCount === 0) await superuser.query(`CREATE ROLE ${name} LOGIN ${powers}`);
}
