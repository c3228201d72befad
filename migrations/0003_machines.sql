-- Machines: whose they are, what they may use, how long they may live and where they are in their life.

create table machines (
  id          text primary key,
  account_id  uuid not null,
  purpose     text not null,
  -- Where the driver keeps it. Only processes that drive this place may call it lost.
  place       text not null,
  driver      text not null,
  tier        text not null,
  runtime     text not null,
  state       text not null
              check (state in ('creating', 'running', 'paused', 'stopped', 'pooled', 'destroying', 'destroyed')),
  -- When it came into its state; names the attempt while it is being created.
  state_at    timestamptz not null,
  image       text not null,
  vcpus       double precision not null check (vcpus > 0),
  memory_mb   integer not null check (memory_mb > 0),
  disk_gb     double precision not null check (disk_gb > 0),
  pids        integer not null check (pids > 0),
  network     text not null check (network in ('egress', 'none')),
  lease_until timestamptz not null,
  created_at  timestamptz not null,
  started_at  timestamptz,
  ended_at    timestamptz,
  end_reason  text,
  cpu_seconds double precision,
  check ((state = 'destroyed') = (ended_at is not null))
);
create index machines_alive on machines (place, id) where state <> 'destroyed';
create index machines_by_account on machines (account_id, created_at);
