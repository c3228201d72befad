import type { MachineId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { EgressRules } from './rules.ts';
import type { Machine, MachineState, Undertaking } from './machine.ts';
import { only, presentMachine, SINCE_RUNNING, type MachineRow, type Used } from './store.ts';

// By the database's own clock: the platform's time can be moved, and a process that is busy is no less so by that.
const BUSY_UNTIL = `clock_timestamp() + interval '5 seconds'`;
/** How often who is busy has to say so. */
export const BEAT_MS = 1_000;

/** What some process is doing with a machine. `isLeft` where that process has not been heard of for too long. */
export type Busy = { with: Undertaking; token: string; isLeft: boolean };
export type Seen = { machine: Machine; busy: Busy | undefined };

type SeenRow = MachineRow & { busy_with: Undertaking | null; busy_token: string | null; is_left: boolean };

const presentSeen = (row: SeenRow): Seen => ({
  machine: presentMachine(row),
  busy:
    row.busy_with === null || row.busy_token === null
      ? undefined
      : { with: row.busy_with, token: row.busy_token, isLeft: row.is_left },
});

const SEEN = `select *, coalesce(busy_until < clock_timestamp(), false) as is_left from machines`;

export const seeMachine = async (db: Db, id: MachineId): Promise<Seen | undefined> =>
  (await db.query<SeenRow>(`${SEEN} where id = $1`, [id])).map(presentSeen)[0];

/** All that are not destroyed, oldest first, with what is being done with them. */
export const seeMachines = async (db: Db, place: string): Promise<Seen[]> =>
  (await db.query<SeenRow>(`${SEEN} where place = $1 and state <> 'destroyed' order by created_at, id`, [place])).map(
    presentSeen,
  );

/** One of any number of callers gets the machine, where it is in one of these states and nobody has it. */
export const takeMachine = async (
  tx: Tx,
  id: MachineId,
  wish: { as: Undertaking; from: readonly MachineState[]; token: string },
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set busy_with = $2, busy_token = $3, busy_until = ${BUSY_UNTIL}
        where id = $1 and busy_with is null and state = any($4) returning *`,
      [id, wish.as, wish.token, wish.from],
    ),
  );

/** Takes a machine from a process that is gone. */
export const takeOver = async (tx: Tx, id: MachineId, old: string, token: string): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set busy_token = $3, busy_until = ${BUSY_UNTIL}
        where id = $1 and busy_token = $2 and busy_until < clock_timestamp() returning *`,
      [id, old, token],
    ),
  );

/** False where another has it by now, or it has ended. */
export const stayBusy = async (tx: Tx, id: MachineId, token: string): Promise<boolean> =>
  (
    await tx.query(`update machines set busy_until = ${BUSY_UNTIL} where id = $1 and busy_token = $2 returning id`, [
      id,
      token,
    ])
  ).length === 1;

const NOT_BUSY = `busy_with = null, busy_token = null, busy_until = null`;

/** Lets go of a machine that is as it was. Undefined here and below where another has it by now, or it has ended. */
export const letGo = async (tx: Tx, id: MachineId, token: string): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(`update machines set ${NOT_BUSY} where id = $1 and busy_token = $2 returning *`, [
      id,
      token,
    ]),
  );

/** It rests from now on: its running time ends, and what is left of its lease is put by. */
export const markResting = async (
  tx: Tx,
  id: MachineId,
  token: string,
  rest: { at: Date; state: 'paused' | 'stopped'; used: Used; frozenMb?: number | undefined; heldBack?: boolean },
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines
          set state = $4, state_at = $2, ran_ms = ran_ms + ${SINCE_RUNNING}, running_since = null,
              lease_left_ms = coalesce(lease_left_ms,
                                       greatest(0, extract(epoch from lease_until - $2::timestamptz) * 1000)::bigint),
              cpu_seconds_before = case when $4::text = 'stopped' then $5 else cpu_seconds_before end,
              network_received_before = case when $4::text = 'stopped' then $6 else network_received_before end,
              network_sent_before = case when $4::text = 'stopped' then $7 else network_sent_before end,
              frozen_mb = $8, held_back = $9, ${NOT_BUSY}
        where id = $1 and busy_token = $3 returning *`,
      [
        id,
        rest.at,
        token,
        rest.state,
        rest.used.cpuSeconds,
        rest.used.networkReceivedBytes,
        rest.used.networkSentBytes,
        rest.frozenMb ?? null,
        rest.heldBack ?? false,
      ],
    ),
  );

/** It runs again, with a new lease where one is given and else with what was left of it. */
export const markAwake = async (
  tx: Tx,
  id: MachineId,
  token: string,
  wake: { at: Date; leaseMs: number | undefined },
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines
          set state = 'running', state_at = $2, running_since = $2, lease_left_ms = null,
              frozen_mb = null, held_back = false,
              lease_until = $2::timestamptz + coalesce($4::bigint, lease_left_ms, 0) * interval '1 millisecond',
              ${NOT_BUSY}
        where id = $1 and busy_token = $3 returning *`,
      [id, wake.at, token, wake.leaseMs ?? null],
    ),
  );

export const markRuled = async (
  tx: Tx,
  id: MachineId,
  token: string,
  rules: EgressRules,
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines set rules = $3, ${NOT_BUSY} where id = $1 and busy_token = $2 returning *`,
      [id, token, JSON.stringify(rules)],
    ),
  );
