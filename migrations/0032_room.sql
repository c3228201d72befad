-- What rests and is kept: the memory that frozen machines hold, machines that are held back while the disk is short,
-- what copies will fill, who follows facts and could not take one yet.

alter table machines
  -- What its frozen processes hold; where it is not known, all that it may use counts.
  add column frozen_mb double precision check (frozen_mb >= 0),
  -- It was frozen by the server because the disk of the host ran short, and goes on when there is room again.
  add column held_back boolean not null default false,
  drop constraint machines_busy_with_check,
  add check (busy_with in ('pausing', 'resuming', 'stopping', 'booting', 'snapshotting', 'ruling', 'settling',
                           'holding back'));
create index machines_held_back on machines (place) where held_back;

alter table machine_snapshots
  -- What it will fill at most, while it is being taken.
  add column expected_bytes bigint;

alter table sandboxes
  drop constraint sandboxes_paused_by_check,
  add check (paused_by in ('request', 'timeout', 'money', 'host'));
create index sandboxes_paused on sandboxes (paused_at) where state = 'paused';

-- Facts that a follower could not take when their turn came; it tries them again, and the others go on.
create table facts_missed (
  follower text not null,
  seq      bigint not null,
  tries    integer not null default 1,
  next_at  timestamptz not null,
  primary key (follower, seq)
);
