-- Each taking of a snapshot writes to a file of its own, so that of two takers none can remove or finish the other's half.
alter table machine_snapshots add column copy text;
update machine_snapshots set copy = id;
alter table machine_snapshots alter column copy set not null;
alter table machine_snapshots add constraint machine_snapshots_copy unique (place, copy);

-- Between which two starts of the host it was made: what was not on the disk yet is lost when the host goes down.
alter table machine_snapshots add column host_start text;

-- Since when a backup waits for room on this host, and what for: that is no failed attempt.
alter table backups add column waiting_since timestamptz;
alter table backups add column waiting_for text;
alter table backups add constraint backups_waiting check ((waiting_since is null) = (waiting_for is null));
