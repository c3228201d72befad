-- GitHub as a way to prove who one is, and the logins that access and refresh tokens stand on.

alter table identities
  drop constraint identities_kind_check,
  add constraint identities_kind_check check (kind in ('challenge', 'password', 'github')),
  -- The address that GitHub vouches for. A password's own is its subject.
  add column email text check (email is null or kind = 'github');

alter table accounts add column last_login_at timestamptz;

-- A refresh token and every access token made from it name a row here, and hold while it stands.
create table logins (
  id         text primary key,
  account_id uuid not null references accounts,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index logins_by_account on logins (account_id, created_at);
create index logins_by_expiry on logins (expires_at);
