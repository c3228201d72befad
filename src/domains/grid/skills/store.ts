import type { MachineId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';

/** The machine that runs a skill at a place. */
export type SkillMachine = {
  machineId: MachineId;
  /** What it was given to run. */
  version: string;
  state: 'starting' | 'ready' | 'failed';
  stateAt: Date;
};

export type At = { skill: string; place: string };

type Row = { machine_id: MachineId; version: string; state: SkillMachine['state']; state_at: Date };

export async function findSkillMachine(db: Db, { skill, place }: At): Promise<SkillMachine | undefined> {
  const [row] = await db.query<Row>(
    `select machine_id, version, state, state_at from grid_skill_machines where skill = $1 and place = $2`,
    [skill, place],
  );
  return row && { machineId: row.machine_id, version: row.version, state: row.state, stateAt: row.state_at };
}

/**
 * Has the caller start a machine in the place of the one that it saw, or of none. False where another process was
 * first: of all who want the skill, one starts it.
 */
export async function claimStart(
  tx: Tx,
  { skill, place }: At,
  seen: SkillMachine | undefined,
  next: { machineId: MachineId; version: string; at: Date },
): Promise<boolean> {
  const values = [skill, place, next.machineId, next.version, next.at];
  const rows = seen
    ? await tx.query(
        `update grid_skill_machines set machine_id = $3, version = $4, state = 'starting', state_at = $5
          where skill = $1 and place = $2 and machine_id = $6 and state = $7 and state_at = $8
          returning 1`,
        [...values, seen.machineId, seen.state, seen.stateAt],
      )
    : await tx.query(
        `insert into grid_skill_machines (skill, place, machine_id, version, state, state_at)
         values ($1, $2, $3, $4, 'starting', $5)
         on conflict do nothing
         returning 1`,
        values,
      );
  return rows.length > 0;
}

/** False where the machine is not the skill's any more. */
export async function markSkillMachine(
  tx: Tx,
  { skill, place }: At,
  machineId: MachineId,
  { state, at }: { state: 'ready' | 'failed'; at: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `update grid_skill_machines set state = $4, state_at = $5
      where skill = $1 and place = $2 and machine_id = $3
      returning 1`,
    [skill, place, machineId, state, at],
  );
  return rows.length > 0;
}
