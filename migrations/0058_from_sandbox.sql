-- Who plays first and then comes for real may show it: a node remembers the sandbox node with whose key it was registered.

alter table grid_challenges add column sandbox_id text;
alter table grid_nodes add column sandbox_id text references grid_nodes;
create index grid_nodes_from_sandbox on grid_nodes (sandbox_id) where sandbox_id is not null;
