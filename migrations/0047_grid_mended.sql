-- The grid, mended: retries that move no deadline, play money in a vault of its own, reports that the operator reviews, text that the market is searched by, programs that hire.

-- `retry_at` is when an escrow that could not be ended is tried again; its deadlines stay where they are. `sandbox`: its
-- buyer only plays.
alter table grid_escrows
  add column retry_at timestamptz,
  add column sandbox  boolean not null default false;
update grid_escrows e set sandbox = true from grid_nodes n where n.id = e.buyer_id and n.sandbox;
create index grid_escrows_to_judge on grid_escrows (sandbox, settle_at, id) where state = 'AWAITING_SETTLEMENT' and ruled;

-- Nodes about which something has happened that their index depends on. Rows are only added and taken, so that a trade
-- locks no node's row: of a busy node's trades each would wait for the one before it to reach the disk.
create table grid_outdated (
  seq     bigint generated always as identity primary key,
  node_id text not null
);
create index grid_outdated_by_node on grid_outdated (node_id);

-- What sandbox nodes pay in fees and tax. Nothing that is worth something is paid from it.
select ledger_open('vault:sandbox:TCK', 0);

-- The rewards of a node that is banned or retired are looked for by its name.
create index grid_bounties_open_by_creator on grid_bounties (creator_id, id) where state = 'open';

-- The operator's word on a report: a strike stands or is taken back, a note becomes a strike or stays one.
alter table grid_reports
  add column verdict     text check (verdict in ('upheld', 'dismissed')),
  add column reviewed_at timestamptz,
  -- Whether what it confiscated was given back.
  add column returned    boolean not null default false,
  add constraint reviewed_with_a_verdict check ((verdict is null) = (reviewed_at is null));
create index grid_reports_newest on grid_reports (created_at, id);

-- The program that hired by the name of a capability.
alter table grid_tasks add column integration text;
create index grid_tasks_by_integration on grid_tasks (integration) where integration is not null;

-- What the market is searched by, in small letters, so that no search reads the metadata of what it does not find.
alter table grid_skills add column words text not null generated always as (
  lower(label || ' ' || left(coalesce(metadata ->> 'description', ''), 2000) || ' ' || coalesce(metadata ->> 'category', ''))
) stored;

-- Where PostgreSQL has trigrams, text is found by them; where it does not, every skill's words are read. Skills are
-- searched far more often than published, so no list of what is new is kept to be read by each search.
do $$ begin
  create extension if not exists pg_trgm;
  create index grid_skills_by_words on grid_skills using gin (words gin_trgm_ops) with (fastupdate = off);
exception when feature_not_supported or undefined_file or undefined_object or insufficient_privilege then
  raise notice 'the market is searched without trigrams: %', sqlerrm;
end $$;
