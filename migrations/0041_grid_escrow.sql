-- What a grid's escrow is judged by before its seller is paid, and what was decided.

-- A `ruled` escrow is of a task whose skill or buyer has rules, which take their time. `asked_at` is when a party first
-- heard from the settle route what it had come to.
alter table grid_escrows
  add column ruled    boolean not null default false,
  add column reason   text,
  add column asked_at timestamptz;
drop index grid_escrows_to_settle;
create index grid_escrows_to_settle on grid_escrows (ruled, settle_at, id) where state = 'AWAITING_SETTLEMENT';

-- `proof_matches` says whether the seller's hash is that of the output; nobody is refused for it.
alter table grid_tasks
  add column validator_ids uuid[] not null default '{}',
  add column proof_matches boolean;
create index grid_tasks_by_skill_settled on grid_tasks (skill_id) where status = 'SETTLED';

-- What a rule, a buyer or the operator decided.
create table grid_decisions (
  id         uuid primary key,
  seq        bigint generated always as identity,
  escrow_id  uuid not null references grid_escrows,
  task_id    uuid references grid_tasks,
  rule       text not null,
  details    jsonb,
  action     text not null check (action in ('AUTO_REFUND', 'AUTO_SETTLE', 'FLAGGED_MANUAL')),
  created_at timestamptz not null
);
create index grid_decisions_by_seq on grid_decisions (seq);
create index grid_decisions_by_task on grid_decisions (task_id, seq);

-- What buyers have their deliveries checked by.
create table grid_validators (
  id         uuid primary key,
  seq        bigint generated always as identity,
  node_id    text not null references grid_nodes,
  name       text not null,
  type       text not null check (type in ('schema', 'regex', 'webhook')),
  config     jsonb not null,
  created_at timestamptz not null
);
create index grid_validators_by_node on grid_validators (node_id, seq);

create table grid_validations (
  seq          bigint generated always as identity primary key,
  task_id      uuid not null references grid_tasks,
  validator_id uuid not null references grid_validators,
  result       text not null check (result in ('PASS', 'FAIL', 'INCONCLUSIVE', 'ERROR')),
  details      jsonb,
  created_at   timestamptz not null,
  unique (task_id, validator_id)
);
