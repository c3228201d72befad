import type { MachineId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';

/** The machine that runs a version of a skill at a place. */
export type SkillMachine = {
  machineId: MachineId;
  state: 'starting' | 'ready' | 'failed';
  stateAt: Date;
};

/** `version` is of what its machine is given to run: servers of two versions may be at one place. */
export type At = { skill: string; place: string; version: string };

type Row = { machine_id: MachineId; state: SkillMachine['state']; state_at: Date };

export async function findSkillMachine(db: Db, { skill, place, version }: At): Promise<SkillMachine | undefined> {
  const [row] = await db.query<Row>(
    `select machine_id, state, state_at from grid_skill_machines where skill = $1 and place = $2 and version = $3`,
    [skill, place, version],
  );
  return row && { machineId: row.machine_id, state: row.state, stateAt: row.state_at };
}

/**
 * Has the caller start a machine in the place of the one that it saw, or of none. False where another process was
 * first: of all who want the skill, one starts it.
 */
export async function claimStart(
  tx: Tx,
  { skill, place, version }: At,
  seen: SkillMachine | undefined,
  next: { machineId: MachineId; at: Date },
): Promise<boolean> {
  const values = [skill, place, version, next.machineId, next.at];
  const rows = seen
    ? await tx.query(
        `update grid_skill_machines set machine_id = $4, state = 'starting', state_at = $5
          where skill = $1 and place = $2 and version = $3 and machine_id = $6 and state = $7 and state_at = $8
          returning 1`,
        [...values, seen.machineId, seen.state, seen.stateAt],
      )
    : await tx.query(
        `insert into grid_skill_machines (skill, place, version, machine_id, state, state_at)
         values ($1, $2, $3, $4, 'starting', $5)
         on conflict do nothing
         returning 1`,
        values,
      );
  return rows.length > 0;
}

/** Forgets the machines of other versions that were started before a time: these go when their leases are over. */
export async function forgetOtherVersions(tx: Tx, { skill, place, version }: At, before: Date): Promise<void> {
  await tx.query(
    `delete from grid_skill_machines where skill = $1 and place = $2 and version <> $3 and state_at < $4`,
    [skill, place, version, before],
  );
}

/** False where the machine is not the skill's any more. */
export async function markSkillMachine(
  tx: Tx,
  { skill, place, version }: At,
  machineId: MachineId,
  { state, at }: { state: 'ready' | 'failed'; at: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `update grid_skill_machines set state = $5, state_at = $6
      where skill = $1 and place = $2 and version = $3 and machine_id = $4
      returning 1`,
    [skill, place, version, machineId, state, at],
  );
  return rows.length > 0;
}
