-- The operator's desk: what happened on the grid on each day, and the sign-ins of browsers that look at it.

-- One row for each day (UTC), taken while it lasts and once more when it is over. Sandbox nodes only play and are in none of its
-- figures but their own. Amounts are ten-thousandths of a TCK.
create table grid_days (
  day             date primary key,
  taken_at        timestamptz not null,
  nodes           integer not null,
  new_nodes       integer not null,
  active_nodes    integer not null,
  -- Nodes that bought something for the first time.
  first_trades    integer not null,
  sandbox_trades  integer not null,
  skills          integer not null,
  tasks_created   integer not null,
  tasks_completed integer not null,
  escrows         integer not null,
  locked          bigint not null,
  settled         integer not null,
  volume          bigint not null,
  tax             bigint not null,
  refunded        integer not null,
  disputed        integer not null
);

-- What each node did on a day, and what its reputation index was made of; null where nobody looked in time.
create table grid_node_days (
  day             date not null references grid_days,
  node_id         text not null references grid_nodes,
  sandbox         boolean not null,
  tasks_created   integer not null,
  tasks_completed integer not null,
  spent           bigint not null,
  earned          bigint not null,
  cri             jsonb,
  cri_before      numeric(4, 1),
  cri_after       numeric(4, 1),
  primary key (day, node_id),
  check ((cri is null) = (cri_after is null))
);
create index grid_node_days_by_node on grid_node_days (node_id, day);

-- Figures are about times, and rows lie in their order: these cost a trade next to nothing.
create index grid_tasks_by_time on grid_tasks using brin (created_at) with (pages_per_range = 32);
create index grid_tasks_by_completion on grid_tasks using brin (completed_at) with (pages_per_range = 32);
create index grid_escrows_by_time on grid_escrows using brin (created_at) with (pages_per_range = 32);
create index grid_escrows_by_settlement on grid_escrows using brin (settled_at) with (pages_per_range = 32);
create index grid_decisions_by_time on grid_decisions using brin (created_at) with (pages_per_range = 32);

-- What lets the operator's browser look. `hash` is of the cookie under the admin key: with another key none of them stands.
create table operator_sessions (
  hash       bytea primary key,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index operator_sessions_by_expiry on operator_sessions (expires_at);
