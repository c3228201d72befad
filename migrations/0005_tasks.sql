-- Tasks: budgeted pieces of model work, the steps that they took, and which worker has them.

create table tasks (
  id              uuid primary key,
  account_id      uuid not null,
  status          text not null
                  check (status in ('queued', 'provisioning', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled')),
  prompt          text not null,
  model_slug      text not null,
  budget_cents    integer not null check (budget_cents > 0),
  timeout_seconds integer not null check (timeout_seconds > 0),
  webhook_url     text,
  idempotency_key text,
  -- SHA-256 of what was asked for: the same key with another content is a conflict.
  fingerprint     bytea not null,
  hold_id         uuid not null,
  created_at      timestamptz not null,
  started_at      timestamptz,
  running_at      timestamptz,
  completed_at    timestamptz,

  -- A queued task is taken up no earlier than this.
  due_at          timestamptz not null,
  -- Noted before the machine is made, so that whoever comes next knows what to remove.
  machine_id      text,
  machine_tries    integer not null default 0,
  machine_failures integer not null default 0,

  -- Which taking-up has the task, and until when. Whether a process lives has nothing to do with the platform's time,
  -- which a test may move: `owned_until` is counted by the database's own clock, which all workers share.
  owner           uuid,
  owned_until     timestamptz,
  recoveries      integer not null default 0,
  beat_at         timestamptz,
  idle_ms         bigint not null default 0 check (idle_ms >= 0),

  inference_micros bigint not null default 0 check (inference_micros >= 0),
  -- What the model has said so far; the result of a task that does not come to its end.
  partial_text    text,
  result_text     text,
  result_json     json,
  error_code      text,
  error_message   text,

  -- Settled: written once, with the money, when the task ends.
  compute_seconds integer,
  spent_cents     integer,

  check ((status in ('succeeded', 'failed', 'timed_out', 'cancelled')) = (completed_at is not null)),
  check ((completed_at is null) = (spent_cents is null)),
  check ((completed_at is null) = (compute_seconds is null)),
  check (spent_cents between 0 and budget_cents),
  check (completed_at is null or owner is null),
  check ((status = 'succeeded') = (result_text is not null and error_code is null))
);
create unique index tasks_by_idempotency_key on tasks (account_id, idempotency_key) where idempotency_key is not null;
create index tasks_by_account on tasks (account_id, created_at desc, id desc);
-- The few that are not over: workers look here.
create index tasks_open on tasks (created_at) where completed_at is null;

-- What a task did, in order: asked its model, or used a tool. Its conversation is made from these, so `message`,
-- `input` and `output` are kept as they were (json, which unlike jsonb also holds what a program printed as \u0000).
create table task_steps (
  task_id             uuid not null references tasks,
  number              integer not null check (number > 0),
  kind                text not null check (kind in ('model', 'tool')),
  state               text not null check (state in ('started', 'finished', 'interrupted')),
  started_at          timestamptz not null,
  finished_at         timestamptz,
  message             json,
  finish_reason       text,
  input_tokens        integer,
  cached_input_tokens integer,
  cache_write_tokens  integer,
  output_tokens       integer,
  cost_micros         bigint,
  call_id             text,
  tool                text,
  input               json,
  output              json,
  exit_code           integer,
  primary key (task_id, number),
  check ((state = 'started') = (finished_at is null)),
  check (kind <> 'model' or state <> 'finished' or (message is not null and cost_micros is not null)),
  check (kind <> 'tool' or (call_id is not null and tool is not null and input is not null)),
  check (kind <> 'tool' or state = 'started' or output is not null)
);
