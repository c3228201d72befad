-- Which machine runs which of the server's own skills: each has one at each place where machines run.

create table grid_skill_machines (
  skill text not null,
  place text not null,
  machine_id text not null,
  -- What it was given to run; a server of another version gives it another machine.
  version text not null,
  state text not null check (state in ('starting', 'ready', 'failed')),
  state_at timestamptz not null,
  primary key (skill, place)
);
