import type { AccountId, LoginId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Profile } from './account.ts';

export type LoginRow = { id: LoginId; account_id: AccountId; created_at: Date; expires_at: Date };

type Tables = {
  logins: LoginRow;
  accounts: { id: AccountId; last_login_at: Date | null };
  identities: { kind: string; subject: string; email: string | null };
};

/** Of two logins of one person at once, the second waits until the first has opened the account. */
export async function lockSubject(tx: Tx, kind: string, subject: string): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [`identity:${kind}:${subject}`]);
}

export async function insertLogin(tx: Tx, row: LoginRow): Promise<void> {
  await tx.tables<Tables>().insertInto('logins').values(row).execute();
}

/** Keeps an account's newest logins and ends the others. */
export async function keepNewestLogins(tx: Tx, accountId: AccountId, count: number): Promise<void> {
  await tx.query(
    `delete from logins
      where id in (select id from logins where account_id = $1 order by created_at desc, id desc offset $2)`,
    [accountId, count],
  );
}

export const findLogin = (db: Db, id: LoginId): Promise<LoginRow | undefined> =>
  db.tables<Tables>().selectFrom('logins').selectAll().where('id', '=', id).executeTakeFirst();

/** False where it had ended before. */
export async function deleteLogin(tx: Tx, id: LoginId): Promise<boolean> {
  const deleted = await tx.tables<Tables>().deleteFrom('logins').where('id', '=', id).returning('id').execute();
  return deleted.length > 0;
}

export async function deleteExpiredLogins(tx: Tx, before: Date): Promise<number> {
  const { numDeletedRows } = await tx
    .tables<Tables>()
    .deleteFrom('logins')
    .where('expires_at', '<', before)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

export async function noteLogin(tx: Tx, accountId: AccountId, at: Date): Promise<void> {
  await tx.tables<Tables>().updateTable('accounts').set({ last_login_at: at }).where('id', '=', accountId).execute();
}

export async function noteEmail(tx: Tx, subject: string, email: string): Promise<void> {
  await tx
    .tables<Tables>()
    .updateTable('identities')
    .set({ email })
    .where('kind', '=', 'github')
    .where('subject', '=', subject)
    .execute();
}

type ProfileRow = {
  name: string;
  email: string | null;
  github_id: string | null;
  created_at: Date;
  last_login_at: Date | null;
};

export async function findProfile(db: Db, id: AccountId): Promise<Profile | undefined> {
  const [row] = await db.query<ProfileRow>(
    `select a.name, coalesce(g.email, p.subject) as email, g.subject as github_id, a.created_at, a.last_login_at
       from accounts a
       left join identities g on g.account_id = a.id and g.kind = 'github'
       left join identities p on p.account_id = a.id and p.kind = 'password'
      where a.id = $1`,
    [id],
  );
  if (!row) return undefined;
  return {
    id,
    name: row.name,
    email: row.email ?? undefined,
    githubId: row.github_id ?? undefined,
    createdAt: row.created_at,
    lastLoginAt: row.last_login_at ?? undefined,
  };
}
