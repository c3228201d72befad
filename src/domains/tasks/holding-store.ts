import type { MachineId, TaskId } from '../../kernel/ids.ts';
import { SECOND } from '../../kernel/time.ts';
import type { Db, Tx } from '../../platform/db.ts';

/**
 * Who has a task. A worker takes one up for a short while and renews that as long as it lives; a task whose worker
 * has died is free again when the while is over. Each taking-up has a name of its own (`owner`), and nothing is
 * written for a task but in that name, so a worker that was only slow cannot disturb the one that came after it.
 */
export const LEASE_MS = 15 * SECOND;
/** Also how long it takes at the most until a worker notices that its task was cancelled in another process. */
export const BEAT_MS = SECOND;

export type Holding = { taskId: TaskId; owner: string };

/** Takes the oldest task that nobody works on: queued and due, or left behind. Two workers never get the same one. */
export async function takeUp(tx: Tx, owner: string, now: Date): Promise<TaskId | undefined> {
  const [row] = await tx.query<{ id: TaskId }>(
    `update tasks
        set owner = $1, owned_until = clock_timestamp() + ${LEASE_MS} * interval '1 millisecond', 
            recoveries = recoveries + case when status = 'queued' then 0 else 1 end,
            idle_ms = idle_ms + case when status = 'running'
                                     then greatest(0, extract(epoch from $2 - beat_at) * 1000)::bigint else 0 end,
            beat_at = $2, started_at = coalesce(started_at, $2)
      where id = (select id from tasks
                   where completed_at is null
                     and (status = 'queued' and due_at <= $2 or status <> 'queued' and owned_until < clock_timestamp())
                   order by created_at
                   limit 1
                     for update skip locked)
      returning id`,
    [owner, now],
  );
  return row?.id;
}

/** Renews holdings; answers the owners of those that are still held. */
export async function beat(db: Db, holdings: readonly Holding[], now: Date): Promise<Set<string>> {
  const rows = await db.query<{ owner: string }>(
    `update tasks
        set owned_until = clock_timestamp() + ${LEASE_MS} * interval '1 millisecond', beat_at = greatest(beat_at, $2)
      where owner = any($1::uuid[]) and completed_at is null
      returning owner`,
    [holdings.map(({ owner }) => owner), now],
  );
  return new Set(rows.map(({ owner }) => owner));
}

/** Lets a task go so that another worker takes it up after `delayMs`. */
export async function letGo(db: Db, { taskId, owner }: Holding, now: Date, delayMs: number): Promise<void> {
  await db.query(
    `update tasks
        set owned_until = clock_timestamp() + $4 * interval '1 millisecond', beat_at = greatest(beat_at, $3)
      where id = $1 and owner = $2`,
    [taskId, owner, now, delayMs],
  );
}

/** Notes the machine that is about to be made. False where the task is not the holder's any more. */
export async function noteMachine(tx: Tx, { taskId, owner }: Holding, machineId: MachineId): Promise<boolean> {
  const rows = await tx.query(
    `update tasks set status = 'provisioning', machine_id = $3, machine_tries = machine_tries + 1
      where id = $1 and owner = $2 and status in ('queued', 'provisioning')
      returning 1`,
    [taskId, owner, machineId],
  );
  return rows.length === 1;
}

/** The machine is ready. False where the task is not the holder's any more. */
export async function noteRunning(tx: Tx, { taskId, owner }: Holding, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `update tasks set status = 'running', running_at = $3, beat_at = $3
      where id = $1 and owner = $2 and status = 'provisioning'
      returning 1`,
    [taskId, owner, now],
  );
  return rows.length === 1;
}

/** Puts a task back into the queue, to be taken up no earlier than `dueAt`. */
export async function putBack(tx: Tx, { taskId, owner }: Holding, dueAt: Date, failures: number): Promise<boolean> {
  const rows = await tx.query(
    `update tasks set status = 'queued', machine_id = null, due_at = $3, owner = null, owned_until = null,
                     machine_failures = machine_failures + $4
      where id = $1 and owner = $2 and status = 'provisioning'
      returning 1`,
    [taskId, owner, dueAt, failures],
  );
  return rows.length === 1;
}
