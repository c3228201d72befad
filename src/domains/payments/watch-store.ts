import type { AccountId, TopupId } from '../../kernel/ids.ts';
import { after, DAY } from '../../kernel/time.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Span } from './chain.ts';
import { MAX_WATCHED_PAYERS, MAX_WATCHED_STRANGERS, UNPAID_WATCHED_MS, WATCHED_MS } from './topup.ts';

/** How long an address is watched after it was asked for, whatever its time was. */
const ASKED_WATCHED_MS = DAY;
/** Blocks before the next one that are not taken for read when an address begins to rest: a node may have been behind. */
const DOUBTFUL_BLOCKS = 200n;
/** Addresses that unread blocks are read for at once: as many as one question names. */
const MAX_UNREAD_AT_ONCE = 500;
/** What is read together with the shortest: up to so many times as long, and so many blocks. */
const LONGER_TIMES = 4;
const LONGER_BLOCKS = 2_000;

const AWAITED = `exists (select from topup_payments p where p.topup_id = t.id and p.credited_at is null
                                  and p.set_aside_at is null)`;

/** Blocks in which nobody had a watched address need not be read. For a row that this transaction has locked. */
export async function skipUnwatched(tx: Tx, token: string, nextBlock: bigint): Promise<void> {
  await tx.query(
    `update topup_coins set next_block = $2, last_hash = null
      where token = $1 and next_block < $2
        and not exists (select from topups where token = $1 and rests_from is null)`,
    [token, nextBlock],
  );
}

/** Notes that addresses were asked for. One that rests is watched again with the next look. */
export async function wishToWatch(tx: Tx, ids: readonly TopupId[], now: Date): Promise<void> {
  await tx.query(
    `update topups
        set asked_at = greatest(asked_at, $2),
            wish = coalesce(wish, case when rests_from is not null then 'watch' end)
      where id = any ($1)`,
    [ids, now],
  );
}

/** Addresses of an account that has paid now are watched for longer, also those that rest already. */
export async function wishForPayer(tx: Tx, accountId: AccountId, now: Date): Promise<void> {
  await tx.query(
    `update topups set wish = coalesce(wish, 'watch')
      where account_id = $1 and rests_from is not null and expires_at > $2`,
    [accountId, after(now, -WATCHED_MS)],
  );
}

/** Wishes that all addresses were read for from their first block on: a top-up's, an account's, or everybody's. */
export async function wishForRescan(
  tx: Tx,
  { topupId, accountId }: { topupId: TopupId | undefined; accountId: AccountId | undefined },
  now: Date,
): Promise<number> {
  const rows = await tx.query(
    `update topups set wish = 'rescan', asked_at = greatest(asked_at, $3)
      where ($1::uuid is null or id = $1) and ($2::uuid is null or account_id = $2)
     returning id`,
    [topupId ?? null, accountId ?? null, now],
  );
  return rows.length;
}

/**
 * Carries out wishes and lets addresses rest, for a coin that this transaction has locked. Whatever waits longest unasked
 * rests first, the expired before the open, and strangers never in the place of those who have paid. An address whose
 * payment is not credited yet does not rest.
 */
export async function arrange(tx: Tx, token: string): Promise<void> {
  const watched = await carryOutWishes(tx, token);
  await letRest(tx, token);
  if (watched) await tx.query(`update topup_coins set rounds = rounds + 1 where token = $1`, [token]);
}

/** Answers whether addresses are watched that were not. */
async function carryOutWishes(tx: Tx, token: string): Promise<boolean> {
  const watched = await tx.query(
    `with wished as (
       select t.id, t.wish, c.next_block,
              least(t.unread_from, case t.wish when 'rescan' then t.first_block else t.rests_from end) as unread_from
         from topups t join topup_coins c using (token)
        where t.token = $1 and t.wish is not null
          for update of t)
     update topups t
        set wish = null,
            unread_from = case when w.unread_from < w.next_block then w.unread_from end,
            unread_until = case when w.unread_from < w.next_block then w.next_block end,
            rests_from = case when w.wish = 'rescan' and t.rests_from is not null
                              then greatest(t.first_block, w.next_block - $2) end
       from wished w
      where t.id = w.id
     returning w.wish`,
    [token, DOUBTFUL_BLOCKS],
  );
  return watched.length > 0;
}

async function letRest(tx: Tx, token: string): Promise<void> {
  await tx.query(
    `with watched as (
       select t.id, p.account_id is not null as paid,
              greatest(t.expires_at + case when p.account_id is null then $2::float8 else $3 end * interval '1 millisecond',
                       t.asked_at + $4::float8 * interval '1 millisecond') as watched_until,
              row_number() over (partition by p.account_id is not null
                                     order by t.expires_at > c.read_at desc, t.asked_at desc, t.address_index desc) as place
         from topups t join topup_coins c using (token) left join topup_payers p using (account_id)
        where t.token = $1 and t.rests_from is null and not ${AWAITED})
     update topups t
        set rests_from = greatest(t.first_block, c.next_block - $7)
       from watched w, topup_coins c
      where t.id = w.id and c.token = $1
        and (w.watched_until <= c.read_at or w.place > case when w.paid then $5::bigint else $6 end)`,
    [
      token,
      UNPAID_WATCHED_MS,
      WATCHED_MS,
      ASKED_WATCHED_MS,
      MAX_WATCHED_PAYERS,
      MAX_WATCHED_STRANGERS,
      DOUBTFUL_BLOCKS,
    ],
  );
}

/** Forgets what was read from this block on: the chain has other blocks there. For a coin that this transaction has locked. */
export async function forgetFrom(tx: Tx, token: string, block: bigint): Promise<void> {
  await tx.query(
    `update topups
        set rests_from = least(rests_from, case when rests_from is not null then $2::bigint end),
            unread_until = case when unread_from < $2 then least(unread_until, $2) end,
            unread_from = case when unread_from < $2 then unread_from end
      where token = $1 and (rests_from > $2 or unread_until > $2)`,
    [token, block],
  );
}

/** Addresses that payments are looked for in with each block, in the order in which they were given out. */
export const watchedAddresses = async (db: Db, token: string): Promise<string[]> =>
  (
    await db.query<{ address: string }>(
      `select address from topups where token = $1 and rests_from is null order by address_index`,
      [token],
    )
  ).map(({ address }) => address);

/** What a look may find new beside new blocks: the address that was given out last, and whether anybody wishes for one. */
export async function outlook(db: Db, token: string): Promise<{ newest: string | undefined; isWished: boolean }> {
  const [row] = await db.query<{ newest: string | null; wished: boolean }>(
    `select (select address from topups where token = $1 and rests_from is null order by address_index desc limit 1) as newest,
            exists (select from topups where token = $1 and wish is not null) as wished`,
    [token],
  );
  return { newest: row?.newest ?? undefined, isWished: row?.wished ?? false };
}

/** Blocks behind the coin's next one that have not been read for these addresses. */
export type Unread = Span & { addresses: string[] };

/**
 * Those that have the least behind them, and what is not much longer than that: who was pushed aside for minutes does
 * not wait for months of others, and yet each block is read for many at once.
 */
export async function nextUnread(db: Db, token: string): Promise<Unread | undefined> {
  const [row] = await db.query<{ addresses: string[] | null; first: bigint; past: bigint }>(
    `with unread as (
       select address, unread_from, unread_until, unread_until - unread_from as blocks
         from topups where token = $1 and unread_from is not null),
     chosen as (
       select * from unread
        where blocks <= $2 * (select min(blocks) from unread) + $3
        order by blocks, address limit $4)
     select array_agg(address) as addresses, min(unread_from) as first, max(unread_until) as past from chosen`,
    [token, LONGER_TIMES, LONGER_BLOCKS, MAX_UNREAD_AT_ONCE],
  );
  return row?.addresses ? { addresses: row.addresses, from: row.first, until: row.past - 1n } : undefined;
}

/** Notes for these addresses that the blocks of the span have been read. */
export async function saveCaughtUp(tx: Tx, { addresses, from, until }: Unread): Promise<void> {
  await tx.query(
    `update topups
        set unread_from = case when unread_until > $3 then $3 end,
            unread_until = case when unread_until > $3 then unread_until end
      where address = any ($1) and unread_from between $2 and $3`,
    [addresses, from, until + 1n],
  );
}
