-- Sandboxes that run code at a port of the platform's own: those of the template code-interpreter-v1, and what is made of their snapshots.
alter table sandboxes add column interpreter boolean not null default false;
-- Asked when one is made of a snapshot, also after the snapshot's own sandbox has ended.
create index sandboxes_with_interpreter on sandboxes (machine_id) where interpreter;
