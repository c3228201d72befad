-- Money that cannot go where it is due is kept: payments that have settled on their chain and cannot be credited, and escrows whose money is due to a node that is banned.

-- A payment is set aside while this says when and `credited_at` is null; one that is credited later keeps the time.
alter table topup_payments add column set_aside_at timestamptz;
-- What is too large to be true has to have room here too: 2^256 of a coin without decimals.
alter table topup_payments alter column amount type numeric(84);

drop index topup_payments_awaited;
create index topup_payments_awaited on topup_payments (topup_id) where credited_at is null and set_aside_at is null;
create index topup_payments_set_aside on topup_payments (set_aside_at) where credited_at is null and set_aside_at is not null;

-- The node that an escrow's money is due to and that is banned: it stays where it is for as long as that is so.
alter table grid_escrows add column held_for text references grid_nodes;
alter table grid_decisions drop constraint grid_decisions_action_check;
alter table grid_decisions add constraint grid_decisions_action_check
  check (action in ('AUTO_REFUND', 'AUTO_SETTLE', 'FLAGGED_MANUAL', 'HELD'));
