-- Addresses of top-ups that rest: how far the chain was read for them, what is still to be read, and when they were asked for.

alter table topups
  -- No payment can be in a block before this one.
  add column first_block  bigint not null default 0 check (first_block >= 0),
  -- When it was asked for last, by its owner or the operator.
  add column asked_at     timestamptz,
  -- Null while it is watched; else the first block that was not read for it.
  add column rests_from   bigint check (rests_from >= 0),
  -- What is to happen to it at the next look.
  add column wish         text check (wish in ('watch', 'rescan')),
  -- Blocks behind the coin's next one that are still to be read for it, the end excluded.
  add column unread_from  bigint,
  add column unread_until bigint,
  add check (unread_from < unread_until);
update topups set asked_at = created_at;
alter table topups alter column asked_at set not null, alter column first_block drop default;

-- What was watched no more when this was installed has not been read for since an unknown block.
update topups t set rests_from = 0
  from topup_coins c
 where c.token = t.token
   and t.expires_at <= c.read_at - interval '1 day'
   and not (t.expires_at > c.read_at - interval '30 days'
            and exists (select from topup_payers p where p.account_id = t.account_id))
   and not exists (select from topup_payments p where p.topup_id = t.id and p.credited_at is null);

drop index topups_by_expiry;
create index topups_watched on topups (token, address_index) where rests_from is null;
create index topups_wished on topups (token) where wish is not null;
create index topups_unread on topups (token, unread_from) where unread_from is not null;

-- Counts how often addresses that rested were watched again: what was read for the list before that may not move the cursor.
alter table topup_coins add column rounds integer not null default 0;
