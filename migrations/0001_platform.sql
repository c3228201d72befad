-- What every domain stands on: the application role, facts, idempotency records, request counters and the test clock.

-- The server works as freehold_app, which owns nothing; migrations run as the owner. Where the owner may not make
-- roles (a managed database), the server goes on as the owner and the triggers of later migrations still hold.
do $$
begin
  if not exists (select from pg_roles where rolname = 'freehold_app') then
    create role freehold_app nologin;
  end if;
  execute format('grant freehold_app to %I', current_user);
exception
  when insufficient_privilege then raise notice 'role freehold_app was not made: this database user may not create roles';
end $$;

do $$
begin
  if exists (select from pg_roles where rolname = 'freehold_app') then
    grant usage on schema public to freehold_app;
    alter default privileges in schema public grant select, insert, update, delete on tables to freehold_app;
    alter default privileges in schema public grant usage, select on sequences to freehold_app;
    alter default privileges in schema public grant execute on functions to freehold_app;
  end if;
end $$;

-- Everything that happened, written in the transaction in which it happened. `xid` orders facts by commit safety: a
-- follower reads only below the oldest running transaction, so it never skips one that commits late.
create table facts (
  seq        bigint generated always as identity primary key,
  id         text not null unique,
  at         timestamptz not null,
  type       text not null,
  subject    text not null,
  account_id uuid,
  request_id text not null,
  data       jsonb not null,
  xid        xid8 not null default pg_current_xact_id()
);
create index facts_by_xid on facts (xid, seq);
create index facts_by_subject on facts (subject, seq);

-- How far each follower of the facts has come.
create table fact_cursors (
  follower text primary key,
  xid      xid8 not null default '0'::xid8,
  seq      bigint not null default 0
);

-- One row for each `Idempotency-Key` of a caller: claimed before the work, answered after it. The reply is sealed
-- with a key made from the caller's own credential, because it may carry a secret that we must not be able to read.
create table idempotency_records (
  scope        text not null,
  key          text not null,
  fingerprint  bytea not null,
  claimed_at   timestamptz not null,
  locked_until timestamptz not null,
  status       integer,
  reply        bytea,
  primary key (scope, key)
);
create index idempotency_records_by_age on idempotency_records (claimed_at);

-- Requests of one caller in the window that its first request opened.
create table request_windows (
  bucket     text primary key,
  started_at timestamptz not null,
  ends_at    timestamptz not null,
  count      integer not null
);
create index request_windows_by_end on request_windows (ends_at);

-- Counts one request. Answers 0 when it is within the limit, else the milliseconds until the window ends.
create function count_request(bucket_ text, limit_ integer, window_ms_ integer, now_ timestamptz) returns integer
language plpgsql as $$
declare
  row_ request_windows;
begin
  insert into request_windows as w (bucket, started_at, ends_at, count)
  values (bucket_, now_, now_ + window_ms_ * interval '1 millisecond', 1)
  on conflict (bucket) do update set
    started_at = case when w.ends_at <= now_ then excluded.started_at else w.started_at end,
    ends_at    = case when w.ends_at <= now_ then excluded.ends_at else w.ends_at end,
    count      = case when w.ends_at <= now_ then 1 else least(w.count, limit_) + 1 end
  returning * into row_;
  if row_.count <= limit_ then
    return 0;
  end if;
  return greatest(1, ceil(extract(epoch from row_.ends_at - now_) * 1000))::integer;
end $$;

-- The test clock: how far the platform's time is ahead of the real one. Only used with FREEHOLD_TEST_CLOCK=on.
create table test_clock (
  only_row boolean primary key default true check (only_row),
  ahead_ms bigint not null default 0
);
insert into test_clock default values;
