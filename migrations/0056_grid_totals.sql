-- What is over on the grid, added up, so that whoever looks at it every minute reads only what is going on.

-- What had ended, or was ordered, before a time: escrows, tasks and bounties by how they ended, and tasks by the way by which they
-- came. Sandbox nodes only play and are not in it. Amounts are ten-thousandths of a TCK.
create table grid_totals (
  kind   text not null,
  name   text not null,
  count  bigint not null,
  amount bigint not null,
  primary key (kind, name)
);
create table grid_totals_until (
  id boolean primary key default true check (id),
  at timestamptz not null
);
insert into grid_totals_until (at) values ('-infinity');

create index grid_bounties_by_end on grid_bounties using brin (ended_at) with (pages_per_range = 32);
-- Disputes are few, and wait for the operator; since when, the decisions about them say.
create index grid_escrows_disputed on grid_escrows (id) where state = 'DISPUTED';
create index grid_decisions_by_escrow on grid_decisions (escrow_id);

-- How the deliveries of a day ended is counted from the index alone.
create index webhook_deliveries_by_end on webhook_deliveries (ended_at) include (state) where ended_at is not null;
drop index webhook_deliveries_ended;
