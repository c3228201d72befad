-- The ledger: double entry in integer amounts, holds, and the functions that are the only way to change either.

-- A place where money is. `code` reads kind:owner:currency, e.g. wallet:<account id>:USD or mint:TCK. What is
-- available is what is posted less what is held; `floor` is how low that may go, null for no limit. `entries` counts
-- the account's entries.
create table ledger_accounts (
  id       bigint generated always as identity primary key,
  code     text not null unique check (length(code) <= 200 and code ~ '^[a-z_]+:([^:]+:)*[A-Z]+$'),
  kind     text not null generated always as (split_part(code, ':', 1)) stored,
  currency text not null generated always as (split_part(code, ':', -1)) stored check (currency in ('USD', 'TCK')),
  floor    bigint,
  posted   bigint not null default 0,
  held     bigint not null default 0,
  entries  bigint not null default 0,
  constraint posted_is_in_range check (posted between -1000000000000000000 and 1000000000000000000),
  constraint held_is_in_range check (held between 0 and 1000000000000000000),
  constraint available_is_not_below_the_floor check (posted - held >= floor)
) with (fillfactor = 50);

-- One thing that was done to balances. `id` is the caller's own, which makes it the idempotency key.
create table ledger_transfers (
  id          uuid primary key,
  kind        text not null check (kind in ('transfer', 'hold', 'post', 'void', 'expire')),
  type        text not null,
  description text not null,
  metadata    jsonb not null,
  request_id  text not null,
  at          timestamptz not null
);

-- What a transfer did to one account. A hold taken has posted 0 and available -n; posting m of it has posted -m and
-- available n-m; letting go of it has posted 0 and available n. So every change of what is available has a row, and
-- `seq` counts the rows of an account without gaps. `type` is the account's own name for it where it differs.
create table ledger_entries (
  account_id      bigint not null,
  seq             bigint not null,
  transfer_id     uuid not null,
  type            text,
  posted_delta    bigint not null,
  available_delta bigint not null,
  posted_after    bigint not null,
  available_after bigint not null,
  primary key (account_id, seq),
  constraint an_account_has_one_leg_in_a_transfer unique (transfer_id, account_id),
  constraint an_entry_changes_something check (posted_delta <> 0 or available_delta <> 0)
);

-- Money put aside. `id` is that of the transfer that took it, `resolved_by` that of the one that ended it. A hold
-- leaves `pending` once.
create table ledger_holds (
  id            uuid primary key,
  from_account  bigint not null,
  to_account    bigint not null,
  amount        bigint not null check (amount > 0),
  release_type  text not null,
  expires_at    timestamptz,
  state         text not null default 'pending' check (state in ('pending', 'posted', 'voided', 'expired')),
  posted_amount bigint,
  resolved_at   timestamptz,
  resolved_by   uuid,
  constraint posted_holds_say_how_much check ((state = 'posted') = (posted_amount is not null)),
  constraint posted_is_within_the_hold check (posted_amount between 1 and amount),
  constraint resolved_holds_say_when check ((state = 'pending') = (resolved_at is null)),
  constraint resolved_holds_say_by_what check ((state = 'pending') = (resolved_by is null))
) with (fillfactor = 80);
create index ledger_holds_pending on ledger_holds (expires_at) where state = 'pending';

-- Opens an account, or finds it open already with the same floor; false where it is open with another.
create function ledger_open(code_ text, floor_ bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into ledger_accounts (code, floor) values (code_, floor_) on conflict (code) do nothing;
  return exists (select from ledger_accounts where code = code_ and floor is not distinct from floor_);
end $$;

-- A batch comes as two lists: the commands, and the legs of those that have any (`legs` counts them), in order.
create type ledger_command as (
  kind text, id uuid, type text, description text, metadata jsonb, request_id text, at timestamptz,
  legs integer, release_type text, expires_at timestamptz, hold_id uuid, amount bigint
);
create type ledger_leg as (account text, amount bigint, type text);
-- `posted` and `released` are of a hold that was resolved.
create type ledger_result as (outcome text, posted bigint, released bigint);
-- A hold that a command resolves, how its transfer was described, and where its accounts are in the lists of a batch.
create type ledger_pending as (
  hold ledger_holds, type text, description text, metadata jsonb, from_slot integer, to_slot integer
);

-- What no caller of ours sends: a batch that does not say one clear thing is refused as a whole.
create function ledger_refuse_malformed(commands_ ledger_command[], legs_ ledger_leg[]) returns void
language plpgsql immutable set search_path = pg_catalog, public, pg_temp as $$
declare
  is_well_formed boolean;
begin
  select coalesce(bool_and(case c.kind
             when 'transfer' then c.hold_id is null and c.amount is null and c.legs >= 2
             when 'hold' then c.hold_id is null and c.amount is null and c.legs = 2
             when 'post' then c.hold_id is not null and coalesce(c.amount, 1) > 0 and c.legs = 0
             when 'void' then c.hold_id is not null and c.amount is null and c.legs = 0
             when 'expire' then c.hold_id is not null and c.amount is null and c.legs = 0
             else false end), true)
         and count(*) = count(distinct c.id)
         and count(c.hold_id) = count(distinct c.hold_id)
         and coalesce(sum(c.legs), 0) = cardinality(legs_)
    into is_well_formed from unnest(commands_) c;
  if is_well_formed is not true
     or exists (select from unnest(legs_) l where (l.amount between -1000000000000000000 and 1000000000000000000
                                                   and l.amount <> 0 and l.account is not null) is not true) then
    raise invalid_parameter_value using message = 'a batch of the ledger is malformed';
  end if;
end $$;

-- The result of a command whose id is taken: `replayed` when the transfer that has it is what the command says, else
-- `conflict`. Times are not compared, because a retry has its own.
create function ledger_earlier_result(command_ ledger_command, legs_ ledger_leg[]) returns ledger_result
language plpgsql stable set search_path = pg_catalog, public, pg_temp as $$
declare
  transfer_ ledger_transfers;
  hold_     ledger_holds;
  same_     boolean;
begin
  select * into transfer_ from ledger_transfers where id = command_.id;
  select * into hold_ from ledger_holds where id = coalesce(command_.hold_id, command_.id);
  same_ := transfer_.kind = command_.kind;
  if command_.hold_id is null then
    same_ := same_ and (transfer_.type, transfer_.description, transfer_.metadata)
                     = (command_.type, command_.description, command_.metadata);
  else
    same_ := same_ and hold_.resolved_by = command_.id;
  end if;
  if command_.kind = 'transfer' then
    same_ := same_
      and array(select (a.code, e.posted_delta, coalesce(e.type, command_.type))::ledger_leg
                  from ledger_entries e join ledger_accounts a on a.id = e.account_id
                 where e.transfer_id = command_.id order by a.code)
        = array(select (l.account, l.amount, coalesce(l.type, command_.type))::ledger_leg
                  from unnest(legs_) l order by l.account);
  elsif command_.kind = 'hold' then
    same_ := same_
      and (hold_.amount, hold_.release_type) = (legs_[2].amount, command_.release_type)
      and hold_.from_account = (select id from ledger_accounts where code = legs_[1].account)
      and hold_.to_account = (select id from ledger_accounts where code = legs_[2].account);
  elsif command_.kind = 'post' then
    same_ := same_ and hold_.posted_amount = coalesce(command_.amount, hold_.amount);
  end if;
  if same_ is not true then
    return ('conflict', null, null)::ledger_result;
  elsif command_.hold_id is null then
    return ('replayed', null, null)::ledger_result;
  end if;
  return ('replayed', coalesce(hold_.posted_amount, 0), hold_.amount - coalesce(hold_.posted_amount, 0))::ledger_result;
end $$;

-- Carries out commands one after the other and answers one result for each: `done`, `replayed` (it had been done
-- before, under this id), or why not: `unaffordable`, `conflict`, `not_found`, `out_of_range`. What cannot be done
-- leaves no trace and does not touch its neighbours.
--
-- The accounts are locked first, in the order of their ids, so that batches wait for each other and never in a
-- circle. Then everything is worked out in memory from the locked balances, and each table is written once: an
-- account that is named 500 times in a batch gets one new row version, not 500. No id and no hold may occur in a
-- batch twice.
--
-- The planner settings keep cached plans right while the tables grow from nothing: always by index.
create function ledger_apply(commands_ jsonb, legs_ jsonb) returns setof ledger_result
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  max_balance constant bigint := 1000000000000000000;
  commands    ledger_command[] := array(select c from jsonb_populate_recordset(null::ledger_command, commands_) c);
  legs        ledger_leg[] := array(select l from jsonb_populate_recordset(null::ledger_leg, legs_) l);
  codes       text[] := array(select l.account from unnest(legs) l);
  leg_slots   integer[];
  taken       uuid[];
  outcomes    text[] := '{}';

  -- The locked accounts; `slot_of` tells an account's place in the lists by its code.
  slot_of    jsonb;
  ids        bigint[];
  currencies text[];
  floors     bigint[];
  posted_now bigint[];
  held_now   bigint[];
  counts     bigint[];

  -- The holds that commands resolve, each at its command's place.
  has_resolutions boolean := exists (select from unnest(commands) c where c.hold_id is not null);
  pending_holds   ledger_pending[];

  -- The command at hand and what it would change.
  command      ledger_command;
  result       ledger_result;
  pending      ledger_pending;
  hold         ledger_holds;
  last_leg     integer := 0;
  slots        integer[];
  types        text[];
  posted_delta bigint[];
  held_delta   bigint[];
  slot         integer;

  new_entries    ledger_entries[] := '{}';
  new_holds      ledger_holds[] := '{}';
  resolved_holds ledger_holds[] := '{}';
  written        integer;
begin
  perform ledger_refuse_malformed(commands, legs);
  if has_resolutions then
    codes := codes || array(select a.code
                              from unnest(commands) c
                              join ledger_holds h on h.id = c.hold_id
                              join ledger_accounts a on a.id in (h.from_account, h.to_account));
  end if;

  select jsonb_object_agg(a.code, a.slot), array_agg(a.id), array_agg(a.currency), array_agg(a.floor),
         array_agg(a.posted), array_agg(a.held), array_agg(a.entries)
    into slot_of, ids, currencies, floors, posted_now, held_now, counts
    from (select l.*, row_number() over () as slot
            from (select * from ledger_accounts where code = any (codes) order by id for no key update) l) a;
  leg_slots := array(select (slot_of ->> l.account)::integer from unnest(legs) l);

  -- Only now, behind the locks, is it certain what has been done before.
  taken := array(select t.id from ledger_transfers t where t.id = any (array(select c.id from unnest(commands) c)));
  if has_resolutions then
    pending_holds := array(select (h, t.type, t.description, t.metadata, slot_of ->> f.code, slot_of ->> r.code)::ledger_pending
                             from unnest(commands) c
                             left join ledger_holds h on h.id = c.hold_id
                             left join ledger_transfers t on t.id = h.id
                             left join ledger_accounts f on f.id = h.from_account
                             left join ledger_accounts r on r.id = h.to_account);
  end if;

  for n in 1 .. cardinality(commands) loop
    command := commands[n];
    result := ('done', null, null);
    slots := '{}'; types := '{}'; posted_delta := '{}'; held_delta := '{}';

    -- What would it change?
    if command.id = any (taken) then
      result := ledger_earlier_result(command, legs[last_leg + 1 : last_leg + command.legs]);
    elsif command.kind = 'transfer' then
      for i in last_leg + 1 .. last_leg + command.legs loop
        slots := slots || leg_slots[i];
        types := types || legs[i].type;
        posted_delta := posted_delta || legs[i].amount;
        held_delta := held_delta || 0::bigint;
      end loop;
    elsif command.kind = 'hold' then
      slots := leg_slots[last_leg + 1 : last_leg + 2];
      types := array[null, null];
      posted_delta := array[0, 0];
      held_delta := array[legs[last_leg + 2].amount, 0];
      if held_delta[1] <= 0 or held_delta[1] + legs[last_leg + 1].amount <> 0 or slots[1] = slots[2]
         or currencies[slots[1]] <> currencies[slots[2]] then
        raise check_violation using message = 'a hold puts an amount aside for another account of its currency';
      end if;
    else
      pending := pending_holds[n];
      hold := pending.hold;
      if hold.id is null then
        result.outcome := 'not_found';
      elsif hold.state <> 'pending'
         or command.amount > hold.amount
         or (command.kind = 'post' and hold.expires_at <= command.at)
         or (command.kind = 'expire' and (hold.expires_at <= command.at) is not true) then
        result.outcome := 'conflict';
      else
        result.posted := case command.kind when 'post' then coalesce(command.amount, hold.amount) else 0 end;
        result.released := hold.amount - result.posted;
        slots := array[pending.from_slot, pending.to_slot];
        types := array[hold.release_type, null];
        posted_delta := array[-result.posted, result.posted];
        held_delta := array[-hold.amount, 0];
        command.type := coalesce(command.type, case command.kind when 'post' then pending.type else hold.release_type end);
        command.description := coalesce(command.description, pending.description);
        command.metadata := coalesce(command.metadata, pending.metadata);
        commands[n] := command;
      end if;
    end if;
    last_leg := last_leg + command.legs;

    -- Is it possible?
    for i in 1 .. cardinality(slots) loop
      slot := slots[i];
      if slot is null then
        result.outcome := 'not_found';
        exit;
      elsif abs(posted_now[slot] + posted_delta[i]) > max_balance or held_now[slot] + held_delta[i] > max_balance then
        result.outcome := 'out_of_range';
      elsif result.outcome = 'done'
        and posted_now[slot] + posted_delta[i] - held_now[slot] - held_delta[i] < floors[slot] then
        result.outcome := 'unaffordable';
      end if;
    end loop;

    -- Then it is done.
    if result.outcome = 'done' then
      for i in 1 .. cardinality(slots) loop
        continue when posted_delta[i] = 0 and held_delta[i] = 0;
        slot := slots[i];
        posted_now[slot] := posted_now[slot] + posted_delta[i];
        held_now[slot] := held_now[slot] + held_delta[i];
        counts[slot] := counts[slot] + 1;
        new_entries := array_append(new_entries,
          (ids[slot], counts[slot], command.id, types[i], posted_delta[i], posted_delta[i] - held_delta[i],
           posted_now[slot], posted_now[slot] - held_now[slot])::ledger_entries);
      end loop;
      if command.kind = 'hold' then
        new_holds := array_append(new_holds,
          (command.id, ids[slots[1]], ids[slots[2]], held_delta[1], command.release_type, command.expires_at,
           'pending', null, null, null)::ledger_holds);
      elsif command.kind <> 'transfer' then
        hold.state := case command.kind when 'post' then 'posted' when 'void' then 'voided' else 'expired' end;
        hold.posted_amount := nullif(result.posted, 0);
        hold.resolved_at := command.at;
        hold.resolved_by := command.id;
        resolved_holds := array_append(resolved_holds, hold);
      end if;
    end if;
    outcomes[n] := result.outcome;
    return next result;
  end loop;

  -- An id that somebody else takes at this moment, with accounts that are not ours, shows here and nowhere else.
  insert into ledger_transfers (id, kind, type, description, metadata, request_id, at)
  select c.id, c.kind, c.type, c.description, c.metadata, c.request_id, c.at
    from unnest(commands) with ordinality as c (kind, id, type, description, metadata, request_id, at,
                                               legs, release_type, expires_at, hold_id, amount, n)
   where outcomes[c.n] = 'done'
  on conflict (id) do nothing;
  get diagnostics written = row_count;
  if written <> cardinality(array_positions(outcomes, 'done')) then
    raise serialization_failure using message = 'an id of this batch was taken while it was carried out';
  end if;
  insert into ledger_entries select e.* from unnest(new_entries) e;
  insert into ledger_holds select h.* from unnest(new_holds) h;
  update ledger_holds h
     set state = r.state, posted_amount = r.posted_amount, resolved_at = r.resolved_at, resolved_by = r.resolved_by
    from unnest(resolved_holds) r
   where h.id = r.id;
  update ledger_accounts a
     set posted = s.posted, held = s.held, entries = s.entries
    from unnest(ids, posted_now, held_now, counts) as s (id, posted, held, entries)
   where a.id = s.id and a.entries <> s.entries;
end $$;

-- A statement that writes entries must leave every transfer that it touches at zero in each currency, whoever writes.
create function ledger_refuse_imbalance() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from new_entries e join ledger_accounts a on a.id = e.account_id
              group by e.transfer_id, a.currency having sum(e.posted_delta) <> 0) then
    raise check_violation using message = 'the legs of a transfer do not sum to zero';
  end if;
  return null;
end $$;
create trigger legs_sum_to_zero after insert on ledger_entries
  referencing new table as new_entries for each statement execute function ledger_refuse_imbalance();

-- What is written stays, for the owner of the tables too.
create function ledger_refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  raise restrict_violation using message = format('%s is immutable', tg_table_name);
end $$;
create trigger entries_are_immutable before update or delete or truncate on ledger_entries
  for each statement execute function ledger_refuse_change();
create trigger transfers_are_immutable before update or delete or truncate on ledger_transfers
  for each statement execute function ledger_refuse_change();
create trigger holds_stay before delete or truncate on ledger_holds
  for each statement execute function ledger_refuse_change();
create trigger accounts_stay before delete or truncate on ledger_accounts
  for each statement execute function ledger_refuse_change();
create trigger holds_change_by_resolution before update on ledger_holds
  for each row when (old.state <> 'pending' or new.state = 'pending'
                     or (old.id, old.from_account, old.to_account, old.amount, old.release_type, old.expires_at)
                        is distinct from (new.id, new.from_account, new.to_account, new.amount, new.release_type, new.expires_at))
  execute function ledger_refuse_change();

-- The application reads the ledger; it changes it only through the two functions, which run as their owner. Nobody
-- else may call them.
revoke execute on function
  ledger_open, ledger_refuse_malformed, ledger_earlier_result, ledger_apply, ledger_refuse_imbalance, ledger_refuse_change
  from public;
do $$
begin
  if exists (select from pg_roles where rolname = 'freehold_app') then
    revoke all on ledger_accounts, ledger_transfers, ledger_entries, ledger_holds from freehold_app;
    grant select on ledger_accounts, ledger_transfers, ledger_entries, ledger_holds to freehold_app;
    revoke execute on function ledger_refuse_malformed, ledger_earlier_result, ledger_refuse_imbalance, ledger_refuse_change
      from freehold_app;
    grant execute on function ledger_open, ledger_apply to freehold_app;
  end if;
end $$;

-- Where money comes from and goes to. What the mint is owed (its negative balance) is what all others have.
select ledger_open('mint:USD', null), ledger_open('mint:TCK', null), ledger_open('revenue:USD', 0);
