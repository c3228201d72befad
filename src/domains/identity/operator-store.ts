import type { Db, Tx } from '../../platform/db.ts';

type OperatorSession = { hash: Uint8Array; createdAt: Date; expiresAt: Date };

export async function insertOperatorSession(tx: Tx, { hash, createdAt, expiresAt }: OperatorSession): Promise<void> {
  await tx.query(`insert into operator_sessions (hash, created_at, expires_at) values ($1, $2, $3)`, [
    hash,
    createdAt,
    expiresAt,
  ]);
}

export async function hasOperatorSession(db: Db, hash: Uint8Array, now: Date): Promise<boolean> {
  const rows = await db.query(`select 1 from operator_sessions where hash = $1 and expires_at > $2`, [hash, now]);
  return rows.length > 0;
}

export async function deleteOperatorSession(tx: Tx, hash: Uint8Array): Promise<void> {
  await tx.query(`delete from operator_sessions where hash = $1`, [hash]);
}

export async function deleteExpiredOperatorSessions(tx: Tx, before: Date): Promise<number> {
  const rows = await tx.query(`delete from operator_sessions where expires_at < $1 returning 1`, [before]);
  return rows.length;
}
