-- Backups of servers, when they are made by themselves, and the copies of disks that the platform has for its own work.

-- One that the platform has for a while, for a backup or for a disk that comes back: its account does not see it.
alter table machine_snapshots add column reserved boolean not null default false;

create table backups (
  id          uuid primary key,
  seq         bigint generated always as identity,
  account_id  uuid not null,
  -- The server may be gone.
  server_id   uuid not null references servers,
  label       text not null,
  plan        text not null,
  region      text not null,
  -- Whether its schedule had it made.
  scheduled   boolean not null,
  state       text not null check (state in ('pending', 'available', 'error', 'expired')),
  failure     text,
  attempts    integer not null default 0,
  created_at  timestamptz not null,
  expires_at  timestamptz not null,
  ended_at    timestamptz,

  -- What of it is on the host and in the blob store, written down before it is there and forgotten after it is gone.
  snapshot_id text,
  blob_key    text,

  -- Of the whole one: what a machine must be given that begins with its disk, and by what its bytes are known again.
  image       text,
  limits      jsonb,
  disk_bytes  bigint,
  bytes       bigint,
  sha256      bytea,

  -- Who works on it, by the database's own clock; the platform's may be moved by a test.
  claim         uuid,
  claimed_until timestamptz,
  touched_at    timestamptz not null default clock_timestamp(),

  check (state <> 'available' or (sha256 is not null and blob_key is not null and image is not null)),
  check ((state = 'expired') = (ended_at is not null)),
  check (state <> 'error' or failure is not null)
);
create index backups_by_account on backups (account_id, seq);
create unique index backups_pending on backups (server_id) where state = 'pending';
create index backups_expiring on backups (expires_at) where state <> 'expired';
create index backups_ended on backups (ended_at) where state = 'expired';
create index backups_scheduled on backups (server_id, seq) where scheduled and state <> 'expired';
-- The few that are being made, or of which something is still to be removed.
create index backups_unsettled on backups (touched_at)
  where state = 'pending' or snapshot_id is not null or (state in ('error', 'expired') and blob_key is not null);

create table backup_schedules (
  server_id   uuid primary key references servers,
  every_hours integer not null check (every_hours > 0),
  keep        integer not null check (keep > 0),
  next_at     timestamptz not null,
  -- Why the last one was not made; null where it was.
  skipped     text
);
create index backup_schedules_due on backup_schedules (next_at);

-- A server that has begun with a restored disk: the copy of it on the host is still to be removed.
drop index servers_unsettled;
create index servers_unsettled on servers (touched_at)
  where state in ('provisioning', 'destroying') or moving is not null or (state = 'error' and not machine_removed)
     or (restored_from is not null and state <> 'destroyed');
create index servers_restored on servers (restored_from) where restored_from is not null;
