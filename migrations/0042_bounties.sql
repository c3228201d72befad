-- Bounties: rewards put aside for whoever solves something, and what solvers hand in. Beside them shared sandbox trades, and runs of benchmarks.

create table grid_bounties (
  id           uuid primary key,
  seq          bigint generated always as identity,
  creator_id   text not null references grid_nodes,
  -- Whether its creator is a sandbox node. Sandbox money never meets money that is worth something.
  sandbox      boolean not null,
  title        text not null,
  description  text not null,
  reward       bigint not null check (reward > 0),
  category     text not null
               check (category in ('general', 'code', 'research', 'translation', 'data', 'monitoring', 'other')),
  tags         text[] not null,
  sealed       boolean not null,
  state        text not null default 'open' check (state in ('open', 'awarded', 'cancelled', 'expired')),
  deadline_at  timestamptz,
  winner_id    text references grid_nodes,
  winner_submission_id uuid,
  created_at   timestamptz not null,
  ended_at     timestamptz,
  constraint over_when_it_ended check ((state = 'open') = (ended_at is null)),
  constraint awarded_to_a_submission check ((state = 'awarded') = (winner_submission_id is not null)),
  constraint awarded_to_a_node check ((state = 'awarded') = (winner_id is not null))
);
create index grid_bounties_newest on grid_bounties (sandbox, state, seq);
create index grid_bounties_by_reward on grid_bounties (sandbox, state, reward, seq);
create index grid_bounties_due on grid_bounties (deadline_at, seq) where state = 'open' and deadline_at is not null;
create index grid_bounties_by_creator on grid_bounties (creator_id, seq);

create table grid_submissions (
  id          uuid primary key,
  seq         bigint generated always as identity,
  bounty_id   uuid not null references grid_bounties,
  solver_id   text not null references grid_nodes,
  content     text not null,
  proof_url   text,
  skill_id    uuid references grid_skills,
  state       text not null default 'pending' check (state in ('pending', 'accepted', 'rejected')),
  created_at  timestamptz not null,
  reviewed_at timestamptz,
  constraint reviewed_unless_pending check ((state = 'pending') = (reviewed_at is null))
);
create index grid_submissions_by_bounty on grid_submissions (bounty_id, seq);
create unique index a_solver_has_one_pending_submission on grid_submissions (bounty_id, solver_id) where state = 'pending';
create unique index a_bounty_has_one_accepted_submission on grid_submissions (bounty_id) where state = 'accepted';

-- A sandbox trade as its maker showed it; whoever has the address may look.
create table grid_shares (
  id         text primary key check (id ~ '^[0-9a-f]{8}$'),
  trade      jsonb not null,
  created_at timestamptz not null
);
create index grid_shares_oldest on grid_shares (created_at);

-- A skill put to the test. It expires where a question was not answered in time: then nobody knows.
create table grid_benchmark_runs (
  id         text primary key,
  seq        bigint generated always as identity,
  suite      text not null,
  skill_id   uuid not null references grid_skills,
  caller_id  text not null references grid_nodes,
  state      text not null default 'running' check (state in ('running', 'passed', 'failed', 'expired')),
  -- What each case came to, in the order of the suite, once it is over.
  verdicts   jsonb,
  due_at     timestamptz not null,
  created_at timestamptz not null,
  ended_at   timestamptz,
  constraint over_when_the_run_ended check ((state = 'running') = (ended_at is null)),
  constraint judged_when_the_run_ended check ((verdicts is null) = (ended_at is null))
);
create unique index one_run_of_a_skill_at_a_time on grid_benchmark_runs (caller_id, suite, skill_id) where state = 'running';
create index grid_benchmark_runs_running on grid_benchmark_runs (due_at, seq) where state = 'running';
create index grid_benchmark_runs_judged on grid_benchmark_runs (suite, skill_id, seq) where state in ('passed', 'failed');

-- Its questions: shadow tasks, one or more for each case.
create table grid_benchmark_tasks (
  run_id  text not null references grid_benchmark_runs,
  number  integer not null,
  case_id integer not null,
  task_id uuid not null unique references grid_tasks,
  primary key (run_id, number)
);

-- The sandbox nodes that may have to go.
create index grid_nodes_sandbox on grid_nodes (created_at) where sandbox and active;
