-- Environments: datasets and their samples, the sessions in which agents work on them, and the grading of that work.

create table env_datasets (
  name        text primary key,
  description text,
  grading     text not null check (grading in ('strict', 'subset')),
  reveals     boolean not null,
  created_at  timestamptz not null
);

-- Every version of a sample stays: sessions and verdicts name the one that they were of. Trees and what is in them are
-- files under the data directory, named by their hashes.
create table env_samples (
  id         uuid primary key,
  dataset    text not null references env_datasets,
  sample_id  text not null,
  version    integer not null check (version > 0),
  latest     boolean not null,
  format     text not null check (format in ('swebench', 'harbor', 'terminal-bench')),
  -- SHA-256 of all that it is made of: the same content again is the same version.
  fingerprint bytea not null,
  text       jsonb not null,
  recipe     jsonb not null,
  workspace_tree text,
  tests_tree     text,
  solution_tree  text,
  context_tree   text,
  state      text not null check (state in ('unchecked', 'offered', 'rejected', 'not_runnable')),
  reason     text,
  created_at timestamptz not null,
  checked_at timestamptz,
  unique (dataset, sample_id, version),
  check ((state in ('rejected', 'not_runnable')) = (reason is not null))
);
create unique index env_samples_latest on env_samples (dataset, sample_id) where latest;

-- Machines in which agents work on samples.
create table env_sessions (
  id         uuid primary key,
  seq        bigint generated always as identity,
  account_id uuid not null,
  sample     uuid not null references env_samples,
  dataset    text not null,
  sample_id  text not null,
  state      text not null check (state in ('creating', 'ready', 'closed', 'terminated', 'error')),
  -- Noted before the machine is made, so that whoever comes next knows what to remove.
  machine_id text not null,
  machine_removed boolean not null default false,
  -- A fork begins with the disk of another session.
  forked_from uuid,
  snapshot_id text,
  requested_at timestamptz not null,
  -- The machine is ready: from here on it is paid.
  ready_at   timestamptz,
  expires_at timestamptz not null,
  idle_ms    bigint check (idle_ms > 0),
  active_at  timestamptz not null,
  -- A session that is being created is looked at no earlier than this.
  due_at     timestamptz not null,
  failures   integer not null default 0,
  ended_at   timestamptz,
  error_code text,
  error_message text,

  -- The meter. Time used before `running_since`, and time paid for since the beginning; `paid_until` follows from them.
  hourly_micros bigint not null check (hourly_micros > 0),
  used_ms       bigint not null default 0 check (used_ms >= 0),
  paid_ms       bigint not null default 0 check (paid_ms >= 0),
  running_since timestamptz,
  paid_until    timestamptz,
  transfers     integer not null default 0,

  check ((state in ('closed', 'terminated', 'error')) = (ended_at is not null)),
  check (state <> 'ready' or (ready_at is not null and running_since is not null)),
  check (state = 'ready' or running_since is null),
  check ((running_since is null) = (paid_until is null)),
  check ((error_code is null) = (error_message is null)),
  check (state <> 'error' or error_code is not null)
) with (fillfactor = 80);
create index env_sessions_by_account on env_sessions (account_id, seq desc);
-- The few that are not over, and those of which something is left.
create index env_sessions_living on env_sessions (account_id) where ended_at is null;
create index env_sessions_left on env_sessions (ended_at) where ended_at is not null and not machine_removed;

-- Commands that were run in sessions. What they print is kept up to a limit, as bytes: it may be anything.
create table env_interactions (
  id         uuid primary key,
  seq        bigint generated always as identity,
  session_id uuid not null references env_sessions,
  command    text not null,
  timeout_seconds integer not null check (timeout_seconds > 0),
  state      text not null check (state in ('pending', 'completed', 'error')),
  created_at timestamptz not null,
  -- Noted before it is begun: what was begun is never begun again.
  started_at timestamptz,
  ended_at   timestamptz,
  exit_code  integer,
  message    text,
  stdout     bytea not null default '',
  stderr     bytea not null default '',
  -- All that was printed, also what was not kept.
  stdout_bytes bigint not null default 0,
  stderr_bytes bigint not null default 0,
  check ((state = 'pending') = (ended_at is null)),
  check ((state = 'pending') = (exit_code is null))
) with (fillfactor = 70);
create index env_interactions_pending on env_interactions (session_id) where state = 'pending';

-- Gradings of a session's work. The result names by hashes what was graded and with what.
create table env_verifications (
  id         uuid primary key,
  session_id uuid not null references env_sessions,
  state      text not null check (state in ('pending', 'running', 'completed', 'error')),
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at   timestamptz,
  -- The machine that grades, noted before it is made; each attempt has another.
  machine_id text,
  workspace_sha256 text,
  tests_sha256     text,
  result     jsonb,
  error_code text,
  error_message text,
  check ((state in ('completed', 'error')) = (ended_at is not null)),
  check ((state = 'completed') = (result is not null)),
  check (state <> 'completed' or (workspace_sha256 is not null and tests_sha256 is not null)),
  check ((state = 'error') = (error_code is not null))
);
create index env_verifications_by_session on env_verifications (session_id, created_at);
