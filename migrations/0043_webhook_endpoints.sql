-- Addresses that an account names to be told of kinds of events, each with a secret of its own, beside the addresses that come with a single task.

-- `failing_since` is the end of the first attempt in vain since one succeeded; an endpoint that has failed for days is
-- disabled. One that its account has removed stays for as long as its deliveries do. The secrets are sealed.
create table webhook_endpoints (
  id              text primary key,
  account_id      uuid not null,
  url             text not null,
  events          text[] not null,
  secret          bytea not null,
  secret_at       timestamptz not null,
  previous        bytea,
  previous_until  timestamptz,
  failing_since   timestamptz,
  disabled_at     timestamptz,
  disabled_reason text,
  removed_at      timestamptz,
  created_at      timestamptz not null,
  constraint a_previous_secret_ends check ((previous is null) = (previous_until is null)),
  constraint disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null))
);
create index webhook_endpoints_by_account on webhook_endpoints (account_id, created_at, id) where removed_at is null;
create index webhook_endpoints_removed on webhook_endpoints (removed_at) where removed_at is not null;

-- A delivery to an endpoint carries the id of the event, which is the same for all its receivers and in every replay.
alter table webhook_deliveries
  add column endpoint_id text references webhook_endpoints,
  add column event_id    text,
  add constraint an_endpoint_is_told_of_events check ((endpoint_id is null) = (event_id is null));
create index webhook_deliveries_by_endpoint on webhook_deliveries (endpoint_id, created_at, id) where endpoint_id is not null;
