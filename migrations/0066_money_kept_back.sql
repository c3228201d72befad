-- Payments that have settled on their chain and cannot be credited are kept: when each was set aside.

-- A payment is set aside while this says when and `credited_at` is null; one that is credited later keeps the time.
alter table topup_payments add column set_aside_at timestamptz;
-- What is too large to be true has to have room here too: 2^256 of a coin without decimals.
alter table topup_payments alter column amount type numeric(84);

drop index topup_payments_awaited;
create index topup_payments_awaited on topup_payments (topup_id) where credited_at is null and set_aside_at is null;
create index topup_payments_set_aside on topup_payments (set_aside_at) where credited_at is null and set_aside_at is not null;
