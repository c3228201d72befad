import type { AccountId, MachineId } from '../../kernel/ids.ts';
import type { Db, Tx } from '../../platform/db.ts';
import type { Machine } from './machine.ts';
import { only, presentMachine, type MachineRow } from './store.ts';

/** Whose machines are that nobody has asked for yet. */
export const NOBODY = '00000000-0000-0000-0000-000000000000' as AccountId;

export type Claimant = {
  accountId: AccountId;
  purpose: string;
  leaseUntil: Date;
  at: Date;
  /** The id under which the same request finds it again. */
  claimedAs: MachineId;
};

/** Each of any number of callers gets another machine, the oldest first, and none waits for another. */
export const claimPooled = async (
  tx: Tx,
  from: { place: string; driver: string },
  claimant: Claimant,
): Promise<Machine | undefined> =>
  only(
    await tx.query<MachineRow>(
      `update machines
          set state = 'running', state_at = $6, account_id = $3, purpose = $4, lease_until = $5, created_at = $6,
              started_at = $6, running_since = $6, claimed_as = $7
        where id = (select id from machines
                     where place = $1 and driver = $2 and state = 'pooled' and busy_with is null
                     order by created_at limit 1
                       for update skip locked)
        returning *`,
      [
        from.place,
        from.driver,
        claimant.accountId,
        claimant.purpose,
        claimant.leaseUntil,
        claimant.at,
        claimant.claimedAs,
      ],
    ),
  );

/** The last one that a request got; those before it had died while they waited. */
export const findClaimed = async (db: Db, claimedAs: MachineId): Promise<Machine | undefined> =>
  only(
    await db.query<MachineRow>(`select * from machines where claimed_as = $1 order by created_at desc limit 1`, [
      claimedAs,
    ]),
  );

/** How many machines wait, and whether one is being made for somebody who waits for it. */
export async function poolState(db: Db, place: string): Promise<{ pooled: number; isBusy: boolean }> {
  const [row] = await db.query<{ pooled: number; creating: number }>(
    `select count(*) filter (where state = 'pooled')::integer as pooled,
            count(*) filter (where state = 'creating')::integer as creating
       from machines where place = $1 and state in ('pooled', 'creating')`,
    [place],
  );
  return { pooled: row?.pooled ?? 0, isBusy: (row?.creating ?? 0) > 0 };
}

export const pooledMachines = async (db: Db, place: string): Promise<Machine[]> =>
  (
    await db.query<MachineRow>(`select * from machines where place = $1 and state = 'pooled' order by created_at`, [
      place,
    ])
  ).map(presentMachine);

/** The one that has waited longest. */
export const oldestPooled = async (db: Db, place: string): Promise<Machine | undefined> =>
  only(
    await db.query<MachineRow>(
      `select * from machines where place = $1 and state = 'pooled' order by created_at limit 1`,
      [place],
    ),
  );
