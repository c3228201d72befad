-- Machines that rest, network rules, snapshots, the pool of ready-made machines and what machines use over time.

alter table machines
  add column rules                 jsonb not null default '{"allow": [], "deny": []}',
  -- What its disk began as a copy of; the snapshot may be gone.
  add column snapshot_id           text,
  -- What of its lease a machine that is paused or stopped comes back with.
  add column lease_left_ms         bigint,
  -- Time for which it ran before `running_since`; a machine that is paused or stopped does not run.
  add column ran_ms                bigint not null default 0,
  add column running_since         timestamptz,
  -- What it used before it was stopped; the host counts from 0 when it is booted again.
  add column cpu_seconds_before    double precision not null default 0,
  add column network_received_before double precision not null default 0,
  add column network_sent_before   double precision not null default 0,
  -- For a machine of the pool: the id that the request which got it would have given to a new one.
  add column claimed_as            text,
  -- What one process is doing with it right now. Whoever holds the token may say what came of it. Where the database's
  -- own clock has passed `busy_until`, that process is gone, and any other may take the token over.
  add column busy_with             text
             check (busy_with in ('pausing', 'resuming', 'stopping', 'booting', 'snapshotting', 'ruling', 'settling')),
  add column busy_token            uuid,
  add column busy_until            timestamptz,
  add check ((busy_with is null) = (busy_token is null) and (busy_with is null) = (busy_until is null));

update machines set running_since = started_at where state = 'running';

-- The oldest machine of the pool is handed out first.
create index machines_pooled on machines (place, created_at) where state = 'pooled';
create index machines_claimed on machines (claimed_as) where claimed_as is not null;

create table machine_snapshots (
  id         text primary key,
  account_id uuid not null,
  -- Where it was taken; the machine may be gone.
  machine_id text not null,
  place      text not null,
  name       text,
  image      text not null,
  vcpus      double precision not null,
  memory_mb  integer not null,
  disk_gb    double precision not null,
  pids       integer not null,
  created_at timestamptz not null,
  -- What it fills of the host's disk; unknown while it is being taken.
  bytes      bigint,
  -- Whoever takes it is gone when this has passed by the database's own clock.
  taking_until timestamptz,
  check ((bytes is null) = (taking_until is not null))
);
create index machine_snapshots_by_account on machine_snapshots (account_id, created_at, id);
create index machine_snapshots_by_place on machine_snapshots (place, id);

create table machine_samples (
  machine_id       text not null references machines,
  at               timestamptz not null,
  cpu_seconds      double precision not null,
  memory_bytes     bigint not null,
  memory_cache_bytes bigint not null,
  disk_bytes       bigint not null,
  disk_used_bytes  bigint not null,
  disk_total_bytes bigint not null,
  processes        integer not null,
  network_received_bytes bigint not null,
  network_sent_bytes bigint not null,
  primary key (machine_id, at)
);
create index machine_samples_by_age on machine_samples (at);
