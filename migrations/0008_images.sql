-- Images that accounts bring: where each comes from, how far its making is, and what it is called as a template.

create table images (
  id          text primary key,
  account_id  uuid not null,
  name        text not null,
  state       text not null check (state in ('building', 'ready', 'failed', 'removed')),
  state_at    timestamptz not null,
  -- What it is made of, as the caller said: {"kind": "registry" | "archive" | "dockerfile" | "context", …}.
  source      jsonb not null,
  -- Each attempt has a machine of its own; whoever made it holds the building until then, and is taken for dead after.
  machine_id  text,
  held_until  timestamptz,
  attempts    integer not null default 0,
  -- Of a ready image: what its configuration says, and what it fills.
  config      jsonb,
  bytes       bigint,
  files       integer,
  -- Of a failed one: why, in a sentence.
  failure     text,
  log         text not null default '',
  created_at  timestamptz not null,
  -- When nothing of it was left on disk any more.
  erased_at   timestamptz,
  check ((state = 'ready') <= (config is not null and bytes is not null)),
  check ((state = 'failed') = (failure is not null) or state = 'removed')
);
create unique index images_by_name on images (account_id, name) where state in ('building', 'ready');
create index images_by_account on images (account_id, created_at, id);
create index images_building on images (created_at, id) where state = 'building';
create index images_on_disk on images (state_at) where erased_at is null and state in ('failed', 'removed');
