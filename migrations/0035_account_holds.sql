-- Accounts that the operator holds back: they may look and do nothing, and their servers are off.

create table account_holds (
  account_id uuid primary key references accounts,
  reason     text not null,
  held_at    timestamptz not null
);

-- What the servers know of it, from the facts: while an account stands here, none of its servers is on.
create table server_holds (
  account_id uuid primary key
);
