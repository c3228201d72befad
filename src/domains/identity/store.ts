import type { AccountId, KeyId } from '../../kernel/ids.ts';
import type { Scope } from '../../kernel/op.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Account, AccountKind, AccountOverview } from './account.ts';

type Tables = {
  accounts: { id: AccountId; kind: AccountKind; name: string; created_at: Date };
  identities: {
    kind: 'challenge' | 'password' | 'github' | 'node';
    subject: string;
    account_id: AccountId;
    secret: string | null;
    email: string | null;
    created_at: Date;
  };
  api_keys: {
    id: KeyId;
    account_id: AccountId;
    name: string;
    prefix: string;
    hash: Buffer;
    scopes: Scope[] | null;
    created_at: Date;
    last_used_at: Date | null;
    revoked_at: Date | null;
  };
  spent_challenges: { id: string; expires_at: Date };
  claim_links: { account_id: AccountId; token_hash: Buffer; expires_at: Date };
};

export type KeyRow = Tables['api_keys'];
export type ClaimLinkRow = Tables['claim_links'];
export type IdentityRow = Tables['identities'];

// Accounts

export async function insertAccount(tx: Tx, account: Account): Promise<void> {
  const { id, kind, name, createdAt } = account;
  await tx.tables<Tables>().insertInto('accounts').values({ id, kind, name, created_at: createdAt }).execute();
}

export async function findAccount(db: Db, id: AccountId): Promise<Account | undefined> {
  const row = await db.tables<Tables>().selectFrom('accounts').selectAll().where('id', '=', id).executeTakeFirst();
  return row && { id: row.id, kind: row.kind, name: row.name, createdAt: row.created_at };
}

export async function findOverview(db: Db, id: AccountId): Promise<AccountOverview | undefined> {
  const [row] = await db.query<Tables['accounts'] & { claimed_at: Date | null; active_keys: number }>(
    `select a.*, p.created_at as claimed_at,
            (select count(*)::int from api_keys k where k.account_id = a.id and k.revoked_at is null) as active_keys
       from accounts a left join identities p on p.account_id = a.id and p.kind = 'password'
      where a.id = $1`,
    [id],
  );
  if (!row) return undefined;
  const { kind, name, created_at: createdAt, claimed_at: claimedAt, active_keys: activeKeys } = row;
  return { id, kind, name, createdAt, claimedAt: claimedAt ?? undefined, activeKeys };
}

/** Holds the account's row until the transaction ends: what counts per account is decided one after the other. */
export async function lockAccount(tx: Tx, id: AccountId): Promise<void> {
  await tx.tables<Tables>().selectFrom('accounts').select('id').where('id', '=', id).forNoKeyUpdate().execute();
}

// Identities

/** False where that subject, or that account, already has an identity of this kind. */
export async function insertIdentity(tx: Tx, row: Omit<IdentityRow, 'email'> & { email?: string }): Promise<boolean> {
  const inserted = await tx
    .tables<Tables>()
    .insertInto('identities')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('subject')
    .execute();
  return inserted.length > 0;
}

export const findIdentity = (db: Db, kind: IdentityRow['kind'], subject: string): Promise<IdentityRow | undefined> =>
  db
    .tables<Tables>()
    .selectFrom('identities')
    .selectAll()
    .where('kind', '=', kind)
    .where('subject', '=', subject)
    .executeTakeFirst();

export const findPasswordOf = (db: Db, accountId: AccountId): Promise<IdentityRow | undefined> =>
  db
    .tables<Tables>()
    .selectFrom('identities')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('kind', '=', 'password')
    .executeTakeFirst();

// Keys

export async function insertKey(tx: Tx, row: KeyRow): Promise<void> {
  await tx.tables<Tables>().insertInto('api_keys').values(row).execute();
}

export const findKey = (db: Db, id: KeyId): Promise<KeyRow | undefined> =>
  db.tables<Tables>().selectFrom('api_keys').selectAll().where('id', '=', id).executeTakeFirst();

export const findActiveKeyByHash = (db: Db, hash: Buffer): Promise<KeyRow | undefined> =>
  db
    .tables<Tables>()
    .selectFrom('api_keys')
    .selectAll()
    .where('hash', '=', hash)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();

/** Oldest first. */
export const activeKeysOf = (db: Db, accountId: AccountId): Promise<KeyRow[]> =>
  db
    .tables<Tables>()
    .selectFrom('api_keys')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('revoked_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();

/** False where the key was revoked before. */
export async function markRevoked(tx: Tx, id: KeyId, at: Date): Promise<boolean> {
  const revoked = await tx
    .tables<Tables>()
    .updateTable('api_keys')
    .set({ revoked_at: at })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .returning('id')
    .execute();
  return revoked.length > 0;
}

/** Writes down that a key was used, unless that was written after `unlessSince`. */
export async function markUsed(tx: Tx, id: KeyId, at: Date, unlessSince: Date): Promise<void> {
  await tx
    .tables<Tables>()
    .updateTable('api_keys')
    .set({ last_used_at: at })
    .where('id', '=', id)
    .where((where) => where.or([where('last_used_at', 'is', null), where('last_used_at', '<=', unlessSince)]))
    .execute();
}

// Challenges and claim links

/** False where the challenge was spent before; of two that spend it at once the second waits for the first. */
export async function spendChallenge(tx: Tx, id: string, expiresAt: Date): Promise<boolean> {
  const spent = await tx
    .tables<Tables>()
    .insertInto('spent_challenges')
    .values({ id, expires_at: expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .execute();
  return spent.length > 0;
}

/** Puts the account's claim link in the place of an earlier one. */
export async function putClaimLink(tx: Tx, row: ClaimLinkRow): Promise<void> {
  await tx
    .tables<Tables>()
    .insertInto('claim_links')
    .values(row)
    .onConflict((conflict) =>
      conflict.column('account_id').doUpdateSet({ token_hash: row.token_hash, expires_at: row.expires_at }),
    )
    .execute();
}

export const findClaimLink = (db: Db, tokenHash: Buffer): Promise<ClaimLinkRow | undefined> =>
  db.tables<Tables>().selectFrom('claim_links').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst();

export const findClaimLinkOf = (db: Db, accountId: AccountId): Promise<ClaimLinkRow | undefined> =>
  db.tables<Tables>().selectFrom('claim_links').selectAll().where('account_id', '=', accountId).executeTakeFirst();

/** Removes what expired before a moment and answers how much it was. */
export async function deleteExpired(tx: Tx, before: Date): Promise<number> {
  const challenges = await tx
    .tables<Tables>()
    .deleteFrom('spent_challenges')
    .where('expires_at', '<', before)
    .executeTakeFirst();
  const links = await tx.tables<Tables>().deleteFrom('claim_links').where('expires_at', '<', before).executeTakeFirst();
  return Number(challenges.numDeletedRows + links.numDeletedRows);
}
