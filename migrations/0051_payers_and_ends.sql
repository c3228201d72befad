-- Who has paid for top-ups, how long their addresses are watched, and when the sweep comes to a bounty.

-- Accounts that have brought in once what a top-up is at the least. They may have more addresses, watched for longer.
create table topup_payers (
  account_id uuid primary key,
  paid_at    timestamptz not null
);
insert into topup_payers (account_id, paid_at)
select t.account_id, max(p.credited_at)
  from topups t join topup_payments p on p.topup_id = t.id
 where p.credited_at is not null
 group by t.account_id having sum(p.amount) >= 1000000;

-- When the chain was last read to its end: until then nothing that was paid in time has been missed.
alter table topup_coins add column read_at timestamptz not null default now();
alter table topup_coins alter column read_at drop default;

-- When the sweep ends a bounty: at its deadline, at once where its creator is here no more, later where that has failed.
alter table grid_bounties add column ends_at timestamptz;
update grid_bounties b
   set ends_at = case when n.active then b.deadline_at else now() end
  from grid_nodes n
 where n.id = b.creator_id and b.state = 'open';
create index grid_bounties_to_end on grid_bounties (ends_at, seq) where state = 'open' and ends_at is not null;
drop index grid_bounties_due;
