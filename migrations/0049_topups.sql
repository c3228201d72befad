-- Top-ups with a stable coin: the address that each is paid to, what has arrived there, how far the chain has been read; and limits that the operator has set for an account.

-- There is one wallet; its words are sealed.
create table topup_wallets (
  id         text primary key,
  sealed     bytea not null,
  created_at timestamptz not null
);
-- Each top-up has the next address of the wallet (BIP-32 knows no higher index).
create sequence topup_addresses minvalue 0 maxvalue 2147483647;

-- Coins that have been asked for, as their contracts describe themselves. A coin stays on the chain that it was first
-- found on: another chain behind the same address would make money of what is none.
create table topup_coins (
  token      text primary key check (token ~ '^0x[0-9a-f]{40}$'),
  chain_id   bigint not null,
  symbol     text not null,
  decimals   integer not null check (decimals between 0 and 36),
  -- The first block that is still to be read for good, and the hash of the one before, where that is known.
  next_block bigint not null check (next_block >= 0),
  last_hash  text,
  -- The newest block there was at the last look.
  head_block bigint not null
);

create table topups (
  id            uuid primary key,
  seq           bigint generated always as identity,
  account_id    uuid not null,
  token         text not null references topup_coins,
  address_index integer not null unique,
  address       text not null unique check (address ~ '^0x[0-9a-f]{40}$'),
  -- What was asked for, in micro-dollars; what arrives is credited, whatever it is.
  amount        bigint not null check (amount > 0),
  created_at    timestamptz not null,
  expires_at    timestamptz not null
);
create index topups_by_account on topups (account_id, seq desc);
create index topups_by_expiry on topups (token, expires_at);

-- Payments on the chain. One that is not credited may still vanish with its block; one that is, is there for good.
create table topup_payments (
  chain_id     bigint not null,
  tx_hash      text not null,
  log_index    integer not null,
  topup_id     uuid not null references topups,
  block_number bigint not null,
  block_hash   text not null,
  -- In the coin's smallest unit, and in micro-dollars.
  token_amount numeric(78) not null,
  amount       bigint not null check (amount >= 0),
  credited_at  timestamptz,
  primary key (chain_id, tx_hash, log_index)
);
create index topup_payments_by_topup on topup_payments (topup_id);
create index topup_payments_awaited on topup_payments (topup_id) where credited_at is null;

-- In place of the number that holds for everybody; null where that holds.
create table server_limits (
  account_id uuid primary key,
  hourly     integer check (hourly >= 0),
  monthly    integer check (monthly >= 0)
);
