-- Accounts, the ways they prove who they are, their keys, and what registration and claiming must remember.

create table accounts (
  id         uuid primary key,
  kind       text not null check (kind in ('person', 'agent')),
  name       text not null,
  created_at timestamptz not null
);

-- One row for each way an account proves who it is. `subject` is what the way knows it by: the id of the solved
-- challenge, the e-mail address in lower case.
create table identities (
  kind       text not null check (kind in ('challenge', 'password')),
  subject    text not null,
  account_id uuid not null references accounts,
  secret     text,
  created_at timestamptz not null,
  primary key (kind, subject),
  constraint passwords_have_a_hash check ((kind = 'password') = (secret is not null))
);
create unique index identities_by_account on identities (account_id, kind);

-- Keys are kept as SHA-256: they are 128 random bits, so there is nothing to try out. Without scopes a key may do
-- everything.
create table api_keys (
  id           uuid primary key,
  account_id   uuid not null references accounts,
  name         text not null,
  prefix       text not null,
  hash         bytea not null unique,
  scopes       text[] check (cardinality(scopes) > 0),
  created_at   timestamptz not null,
  last_used_at timestamptz,
  revoked_at   timestamptz
);
create index active_api_keys_by_account on api_keys (account_id, created_at) where revoked_at is null;

-- Challenges that were answered, rightly or wrongly. Kept until their tokens have expired anyway.
create table spent_challenges (
  id         text primary key,
  expires_at timestamptz not null
);
create index spent_challenges_by_expiry on spent_challenges (expires_at);

-- The newest claim link of each account.
create table claim_links (
  account_id uuid primary key references accounts,
  token_hash bytea not null unique,
  expires_at timestamptz not null
);
