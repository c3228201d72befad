-- What a session has cost so far, as the ledger has moved it, so that its receipt needs no search through the ledger.

alter table env_sessions add column spent_micros bigint not null default 0 check (spent_micros >= 0);
update env_sessions set spent_micros = ceil(ceil(paid_ms / 1000.0) * hourly_micros / 3600);
