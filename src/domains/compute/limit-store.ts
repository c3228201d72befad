import type { AccountId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { ServerLimits } from './limits.ts';

type LimitRow = { hourly: number | null; monthly: number | null };

/** What the operator has set for an account. */
export const findLimits = async (db: Db, accountId: AccountId): Promise<Partial<ServerLimits>> =>
  (await db.query<LimitRow>(`select hourly, monthly from server_limits where account_id = $1`, [accountId])).map(
    ({ hourly, monthly }) => ({ hourly: hourly ?? undefined, monthly: monthly ?? undefined }),
  )[0] ?? {};

/** In place of what was set before. */
export async function putLimits(
  tx: Tx,
  accountId: AccountId,
  { hourly, monthly }: Partial<ServerLimits>,
): Promise<void> {
  await tx.query(
    `insert into server_limits (account_id, hourly, monthly) values ($1, $2, $3)
     on conflict (account_id) do update set hourly = excluded.hourly, monthly = excluded.monthly`,
    [accountId, hourly ?? null, monthly ?? null],
  );
}
