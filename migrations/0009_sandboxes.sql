-- Sandboxes: machines that accounts rent by the second: how they live, what they have paid, the ports that they show.

create table sandboxes (
  id         uuid primary key,
  seq        bigint generated always as identity,
  code       text not null unique check (code ~ '^[a-z][a-z0-9]{19}$'),
  account_id uuid not null,
  -- Noted before the machine is made. `starting` is nobody's sandbox yet: its maker turns it into a running one or
  -- removes it, and where the maker died, the sweep does.
  machine_id text not null,
  name       text,
  origin     text not null check (origin in ('agents', 'e2b')),
  state      text not null check (state in ('starting', 'running', 'paused', 'destroyed')),
  -- The state was decided, and its machine is being brought there; by anybody, any number of times.
  moving     text check (moving in ('pausing', 'resuming')),
  template   text not null,
  vcpus      double precision not null,
  memory_mb  integer not null,
  disk_gb    double precision not null,
  pids       integer not null,
  metadata   jsonb not null,
  env        jsonb not null,
  lifecycle  jsonb not null,
  network    jsonb not null,
  created_at timestamptz not null,
  started_at timestamptz,
  end_at     timestamptz,
  -- How long it was last asked to live: as long it lives again when traffic wakes it.
  timeout_ms bigint,
  paused_at  timestamptz,
  paused_by  text check (paused_by in ('request', 'timeout', 'money')),
  kept_memory boolean not null default false,
  ended_at   timestamptz,
  end_reason text check (end_reason in ('request', 'timeout', 'money', 'lost')),
  machine_removed boolean not null default false,
  lease_until timestamptz not null,

  -- The meter. Time used before `running_since`, and time paid for since the beginning; `paid_until` follows from them.
  size          text not null,
  hourly_micros bigint not null check (hourly_micros > 0),
  used_ms       bigint not null default 0 check (used_ms >= 0),
  paid_ms       bigint not null default 0 check (paid_ms >= 0),
  running_since timestamptz,
  paid_until    timestamptz,
  -- Movements of money so far: the next one's id follows from it.
  transfers     integer not null default 0,

  -- Whether somebody is still at it has nothing to do with the platform's time, which a test may move.
  touched_at timestamptz not null default clock_timestamp(),

  check ((state in ('running', 'paused')) <= (started_at is not null)),
  check ((state = 'running') = (running_since is not null)),
  check ((state = 'running') = (paid_until is not null)),
  check ((state = 'paused') = (paused_at is not null)),
  check ((state = 'paused') = (paused_by is not null)),
  check ((state = 'destroyed') = (ended_at is not null)),
  check ((state = 'destroyed') = (end_reason is not null)),
  check (moving <> 'pausing' or state = 'paused'),
  check (moving <> 'resuming' or state = 'running')
) with (fillfactor = 80);
create index sandboxes_by_account on sandboxes (account_id, started_at, seq) where state in ('running', 'paused');
create index sandboxes_living on sandboxes (account_id) where state <> 'destroyed';
create index sandboxes_by_machine on sandboxes (machine_id) where state <> 'destroyed';
create index sandboxes_due on sandboxes (least(paid_until, end_at)) where state = 'running';
-- The few whose machine does not yet agree with their row.
create index sandboxes_unsettled on sandboxes (touched_at)
  where state = 'starting' or moving is not null or (state = 'destroyed' and not machine_removed);

-- Ports that have an address of their own. A subdomain is one sandbox's, and a sandbox has one.
create table sandbox_ports (
  sandbox_id uuid not null references sandboxes,
  port       integer not null check (port between 1 and 65535),
  subdomain  text unique,
  visibility text not null check (visibility in ('public', 'private')),
  primary key (sandbox_id, port)
);
create unique index sandbox_ports_one_subdomain on sandbox_ports (sandbox_id) where subdomain is not null;

-- Snapshots that a fork takes for itself and removes when its sandboxes are there, or the sweep does.
create table sandbox_forks (
  snapshot_id text primary key,
  account_id  uuid not null,
  touched_at  timestamptz not null default clock_timestamp()
);
