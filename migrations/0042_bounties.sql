-- Bounties: rewards put aside for whoever solves something, and what solvers hand in. Beside them shared sandbox trades, what was hired by the name of a capability, and runs of benchmarks.

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

-- By which program and capability a task came about.
create table grid_hires (
  task_id     uuid primary key references grid_tasks,
  integration text not null,
  capability  text not null
);

-- A skill put to the test: a shadow task for each question, and what their answers came to.
create table grid_benchmark_runs (
  id         text primary key,
  seq        bigint generated always as identity,
  suite      text not null,
  skill_id   uuid not null references grid_skills,
  caller_id  text not null references grid_nodes,
  state      text not null default 'running' check (state in ('running', 'passed', 'failed')),
  -- One list of tasks for each case, in the order of the suite.
  tasks      jsonb not null,
  -- How each case ended, once it is over.
  verdicts   jsonb,
  passed     integer check (passed >= 0),
  due_at     timestamptz not null,
  created_at timestamptz not null,
  ended_at   timestamptz,
  constraint judged_when_it_ended check ((state = 'running') = (ended_at is null) and (ended_at is null) = (verdicts is null)
                                         and (verdicts is null) = (passed is null))
);
create unique index one_run_of_a_skill_at_a_time on grid_benchmark_runs (caller_id, suite, skill_id) where state = 'running';
create index grid_benchmark_runs_running on grid_benchmark_runs (due_at, seq) where state = 'running';
create index grid_benchmark_runs_by_suite on grid_benchmark_runs (suite, skill_id, seq) where state <> 'running';

-- The sandbox nodes that may have to go.
create index grid_nodes_sandbox on grid_nodes (created_at) where sandbox and active;
