-- What accounts are told at addresses they named: each delivery with its retries, and the secret that signs it.

-- One row for each account that has ever been owed a delivery. After a rotation the previous secret signs beside the
-- current one for a while, so that receivers can change over without losing a message. Sealed by the server's secret.
create table webhook_secrets (
  account_id     uuid primary key,
  current        bytea not null,
  created_at     timestamptz not null,
  previous       bytea,
  previous_until timestamptz,
  constraint a_previous_secret_ends check ((previous is null) = (previous_until is null))
);

-- `body` is kept as the exact text that is signed and sent, so that every attempt sends the same bytes. `attempts` is
-- counted up when an attempt begins; whoever begins one holds the lease, and a lease that has run out means that its
-- worker has died.
create table webhook_deliveries (
  id                 text primary key,
  account_id         uuid not null,
  type               text not null,
  subject            text not null,
  url                text not null,
  host               text not null,
  body               text not null,
  state              text not null check (state in ('pending', 'delivered', 'failed', 'exhausted')),
  attempts           integer not null default 0,
  next_attempt_at    timestamptz not null,
  leased_until       timestamptz,
  last_response_code integer,
  last_error         text,
  created_at         timestamptz not null,
  ended_at           timestamptz,
  constraint ended_in_a_final_state check ((ended_at is not null) = (state in ('delivered', 'exhausted')))
);
create index webhook_deliveries_waiting on webhook_deliveries (account_id, host, next_attempt_at, id) where ended_at is null;
create index webhook_deliveries_leased on webhook_deliveries (leased_until) where ended_at is null;
create index webhook_deliveries_by_account on webhook_deliveries (account_id, created_at, id);
create index webhook_deliveries_ended on webhook_deliveries (ended_at) where ended_at is not null;
