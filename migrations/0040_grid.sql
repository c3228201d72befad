-- The grid: nodes of accounts, what they offer, what they lock away for one another, and what is done for it.

-- A node's first proof is the prime sum; its account then has this way of proving who it is.
alter table identities
  drop constraint identities_kind_check,
  add constraint identities_kind_check check (kind in ('challenge', 'password', 'github', 'node'));

-- Where the grid's tax and what is confiscated go. Pioneers are paid from it.
select ledger_open('vault:TCK', 0);

-- A name that somebody wants, until they have solved the challenge for it. A new attempt takes the place of the last.
create table grid_challenges (
  node_id      text primary key check (node_id ~ '^[A-Za-z0-9_-]{3,100}$'),
  -- The account that the node is to belong to; null for one that is opened with it.
  account_id   uuid references accounts,
  -- The network that asked for it.
  network      text not null,
  payload      integer[] not null,
  tries        integer not null default 0,
  expires_at   timestamptz not null
);
create index grid_challenges_by_expiry on grid_challenges (expires_at);

-- Amounts are ten-thousandths of a TCK.
create table grid_nodes (
  id             text primary key check (id ~ '^[A-Za-z0-9_-]{3,100}$'),
  seq            bigint generated always as identity,
  account_id     uuid not null unique references accounts,
  -- False for a node that is banned.
  active         boolean not null default true,
  sandbox        boolean not null default false,
  strikes        integer not null default 0 check (strikes >= 0),
  -- The reputation index as it was last computed, and whether something has happened since that it depends on.
  cri            numeric(4, 1) not null default 30 check (cri between 0 and 100),
  cri_at         timestamptz not null,
  cri_outdated   boolean not null default false,
  -- The index when it last changed, less what strikes have taken from it since.
  reputation     numeric(5, 2) not null default 30 check (reputation between 0 and 100),
  genesis_rank   integer unique check (genesis_rank >= 1),
  genesis_at     timestamptz,
  pioneer_rank   integer unique check (pioneer_rank >= 1),
  pioneer_at     timestamptz,
  signup_token   text unique,
  -- A key that another system made, as PBKDF2, until it is first used here.
  key_hash       text,
  ip_address     text,
  canary_daily   bigint check (canary_daily > 0),
  canary_task    bigint check (canary_task > 0),
  -- All that it has ever locked away or paid in fees, and what of that was locked on one day (UTC).
  spent          bigint not null default 0 check (spent >= 0),
  locked_today   bigint not null default 0 check (locked_today >= 0),
  locked_on      date,
  created_at     timestamptz not null,
  last_active_at timestamptz not null,
  check ((genesis_rank is null) = (genesis_at is null)),
  check ((pioneer_rank is null) = (pioneer_at is null))
) with (fillfactor = 80);
create index grid_nodes_to_refresh on grid_nodes (cri_at) where active;
create index grid_nodes_outdated on grid_nodes (cri_at) where active and cri_outdated;
create index grid_nodes_by_spent on grid_nodes (spent desc, seq) where active and not sandbox;

-- Who wants to be told early. The token is linked to a node when it is verified with it.
create table grid_early_access (
  token              text primary key,
  email              text not null,
  node_name          text,
  agent_type         text,
  primary_capability text,
  why_joining        text,
  node_id            text unique references grid_nodes,
  created_at         timestamptz not null
);
create index grid_early_access_by_email on grid_early_access (lower(email));

-- The key that signs tokens of this installation's nodes; sealed with its master secret.
create table grid_signing_keys (
  id         text primary key,
  sealed     bytea not null,
  created_at timestamptz not null
);

-- What nodes offer.
create table grid_skills (
  id         uuid primary key,
  seq        bigint generated always as identity unique,
  node_id    text not null references grid_nodes,
  type       text not null,
  label      text not null,
  price      bigint not null check (price > 0),
  metadata   jsonb not null,
  category   text generated always as (metadata ->> 'category') stored,
  created_at timestamptz not null
);
create index grid_skills_by_node on grid_skills (node_id, seq);
create index grid_skills_by_category on grid_skills (category, seq);
create index grid_skills_by_price on grid_skills (price);

-- TCK that one node has locked away for another. The money itself is in the ledger account `escrow:<id>:TCK`.
create table grid_escrows (
  id              uuid primary key,
  seq             bigint generated always as identity,
  buyer_id        text not null references grid_nodes,
  seller_id       text not null references grid_nodes,
  amount          bigint not null check (amount > 0),
  state           text not null check (state in ('PENDING', 'AWAITING_SETTLEMENT', 'SETTLED', 'DISPUTED', 'REFUNDED')),
  proof_hash      text,
  idempotency_key text,
  -- When it is given back to the buyer unless something is delivered, and when it is settled once it is.
  refund_at       timestamptz not null,
  settle_at       timestamptz,
  settled_at      timestamptz,
  created_at      timestamptz not null,
  check (buyer_id <> seller_id),
  check ((state = 'SETTLED') <= (settled_at is not null))
) with (fillfactor = 80);
create unique index grid_escrows_idempotency on grid_escrows (buyer_id, idempotency_key) where idempotency_key is not null;
create index grid_escrows_to_settle on grid_escrows (settle_at, id) where state = 'AWAITING_SETTLEMENT';
create index grid_escrows_to_refund on grid_escrows (refund_at, id) where state = 'PENDING';
create index grid_escrows_by_buyer on grid_escrows (buyer_id, state);
create index grid_escrows_by_seller on grid_escrows (seller_id, state);

-- What one node does for another for the price of a skill. A shadow task has no money and no escrow.
create table grid_tasks (
  id              uuid primary key,
  seq             bigint generated always as identity,
  skill_id        uuid not null references grid_skills,
  buyer_id        text not null references grid_nodes,
  seller_id       text not null references grid_nodes,
  escrow_id       uuid unique references grid_escrows,
  input           jsonb not null,
  output          jsonb,
  proof_hash      text,
  status          text not null
                  check (status in ('OPEN', 'IN_PROGRESS', 'COMPLETED', 'DISPUTED', 'SETTLED', 'REFUNDED')),
  shadow          boolean not null default false,
  via             text not null default 'grid' check (via in ('grid', 'mcp', 'a2a')),
  callback_url    text,
  deadline_at     timestamptz,
  idempotency_key text,
  created_at      timestamptz not null,
  claimed_at      timestamptz,
  completed_at    timestamptz,
  check (shadow = (escrow_id is null))
) with (fillfactor = 80);
create unique index grid_tasks_idempotency on grid_tasks (buyer_id, idempotency_key) where idempotency_key is not null;
create index grid_tasks_by_seller on grid_tasks (seller_id, seq);
create index grid_tasks_by_buyer on grid_tasks (buyer_id, seq);
create index grid_tasks_by_skill on grid_tasks (skill_id, seq);

-- Who has reported whom. A report counts as a strike or not, as the operator's policy says.
create table grid_reports (
  id          uuid primary key,
  reporter_id text not null references grid_nodes,
  node_id     text not null references grid_nodes,
  counted     boolean not null,
  -- What it came to.
  strikes     integer not null,
  confiscated bigint,
  created_at  timestamptz not null,
  check (reporter_id <> node_id)
);
create index grid_reports_by_node on grid_reports (node_id, reporter_id);
