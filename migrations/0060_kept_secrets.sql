-- One place for the secrets that an installation makes for itself, sealed: the wallet of top-ups and the grid's signing key.

create table kept_secrets (
  name       text primary key,
  sealed     bytea not null,
  created_at timestamptz not null
);
insert into kept_secrets (name, sealed, created_at)
select 'wallet of top-ups', sealed, created_at from topup_wallets where id = 'current'
 union all
select 'signing key of the grid', sealed, created_at from grid_signing_keys where id = 'current';
drop table topup_wallets;
drop table grid_signing_keys;
