import type { ServerId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { BackupSchedule } from './backup.ts';

type ScheduleRow = { server_id: ServerId; every_hours: number; keep: number; next_at: Date; skipped: string | null };

const scheduleOf = (row: ScheduleRow): BackupSchedule => ({
  serverId: row.server_id,
  everyHours: row.every_hours,
  keep: row.keep,
  nextAt: row.next_at,
  skipped: row.skipped ?? undefined,
});

export const findSchedule = async (db: Db, serverId: ServerId): Promise<BackupSchedule | undefined> =>
  (await db.query<ScheduleRow>(`select * from backup_schedules where server_id = $1`, [serverId])).map(scheduleOf)[0];

export async function putSchedule(tx: Tx, schedule: BackupSchedule): Promise<void> {
  await tx.query(
    `insert into backup_schedules (server_id, every_hours, keep, next_at, skipped) values ($1, $2, $3, $4, $5)
     on conflict (server_id) do update
        set every_hours = excluded.every_hours, keep = excluded.keep, next_at = excluded.next_at,
            skipped = excluded.skipped`,
    [schedule.serverId, schedule.everyHours, schedule.keep, schedule.nextAt, schedule.skipped ?? null],
  );
}

/** False where there was none. */
export async function removeSchedule(tx: Tx, serverId: ServerId): Promise<boolean> {
  const rows = await tx.query(`delete from backup_schedules where server_id = $1 returning server_id`, [serverId]);
  return rows.length > 0;
}

export const nextDueSchedule = async (db: Db, now: Date): Promise<BackupSchedule | undefined> =>
  (
    await db.query<ScheduleRow>(`select * from backup_schedules where next_at <= $1 order by next_at limit 1`, [now])
  ).map(scheduleOf)[0];
