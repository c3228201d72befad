-- Servers: machines that accounts rent for long, by the hour or by the month; and what long-lived machines are told of themselves.

create table servers (
  id          uuid primary key,
  seq         bigint generated always as identity,
  account_id  uuid not null,
  -- `hourly`: the servers contract. `monthly`: the compute instances of the agents contract.
  offer       text not null check (offer in ('hourly', 'monthly')),
  name        text not null,
  slug        text,
  plan        text,
  region      text,
  vcpus       double precision not null,
  memory_mb   integer not null,
  disk_gb     double precision not null,
  pids        integer not null,
  machine_id  text not null,
  restored_from text,
  login       text not null check (login in ('root', 'agent')),
  authorized_keys text[] not null,
  -- Whether a password opens it; the password itself is nowhere but in the machine.
  password    boolean not null,
  address     text,
  state       text not null check (state in ('provisioning', 'active', 'suspended', 'error', 'destroying', 'destroyed')),
  power       text not null default 'on' check (power in ('on', 'off')),
  -- The state was decided, and its machine is being brought there; by anybody, any number of times.
  moving      text check (moving in ('starting', 'stopping', 'rebooting')),
  failure     text,
  attempts    integer not null default 0,

  -- The meter: one price for a period, and how many periods were paid since the beginning.
  period_micros bigint not null check (period_micros > 0),
  period_ms   bigint not null check (period_ms > 0),
  periods     integer not null default 0 check (periods >= 0),
  paid_until  timestamptz,

  created_at  timestamptz not null,
  active_at   timestamptz,
  suspended_at timestamptz,
  ended_at    timestamptz,
  machine_removed boolean not null default false,

  -- Who works on its machine, by the database's own clock; the platform's may be moved by a test.
  claim         uuid,
  claimed_until timestamptz,
  touched_at    timestamptz not null default clock_timestamp(),

  check ((state = 'active') = (paid_until is not null)),
  check ((state = 'suspended') = (suspended_at is not null)),
  check ((state in ('destroyed', 'error')) = (ended_at is not null)),
  check ((state = 'error') = (failure is not null)),
  check ((offer = 'hourly') = (plan is not null)),
  check ((offer = 'hourly') = (region is not null)),
  check (moving is null or state in ('active', 'suspended'))
) with (fillfactor = 80);
create index servers_by_account on servers (account_id, offer, seq) where state <> 'destroyed';
create index servers_by_machine on servers (machine_id) where state <> 'destroyed';
create index servers_due on servers (paid_until, seq) where state = 'active';
create index servers_suspended on servers (account_id, suspended_at) where state = 'suspended';
create unique index servers_slug on servers (slug) where slug is not null and state not in ('error', 'destroyed');
create unique index servers_address on servers (address)
  where address is not null and not (state in ('error', 'destroyed') and machine_removed);
-- The few whose machine does not yet agree with their row.
create index servers_unsettled on servers (touched_at)
  where state in ('provisioning', 'destroying') or moving is not null or (state = 'error' and not machine_removed);

-- Machines that stand for long have a name, see no more than they may use, may have an address of their own, and are
-- started again where they are lost together with their host.
alter table machines
  add column hostname text,
  add column standing boolean not null default false,
  add column address  text,
  add check (standing = (hostname is not null)),
  add check (address is null or standing);

-- SSH for whoever the machine is for, and with a password where there are no keys.
alter table machine_ssh
  add column login    text not null default 'user' check (login in ('user', 'root', 'agent')),
  add column password boolean not null default false,
  drop constraint machine_ssh_authorized_keys_check,
  add check (password or cardinality(authorized_keys) > 0);
