import { AppError, isAppError } from '../../../kernel/errors.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import { after, elapsedMs, HOUR } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import { lockOwn, ownServer } from '../policy.ts';
import { isLiving, type Server } from '../server.ts';
import { lockServer } from '../store.ts';
import type { ComputeWorld } from '../world.ts';
import { SCHEDULE_BOUNDS, type BackupSchedule } from './backup.ts';
import { request } from './request.ts';
import { findSchedule, nextDueSchedule, putSchedule, removeSchedule } from './schedule-store.ts';

const none = (): AppError => new AppError('not_found', 'This server has no backup schedule');

/** Throws `not_found` where there is none. */
export async function scheduleOf({ db }: ComputeWorld, op: Op, reference: string): Promise<BackupSchedule> {
  const server = await ownServer(db, op, 'hourly', reference);
  const found = await findSchedule(db, server.id);
  if (!found) throw none();
  return found;
}

/** From now on a server is backed up by itself, the first time after as many hours. In place of an earlier schedule. */
export async function schedule(
  world: ComputeWorld,
  op: Op,
  reference: string,
  wish: Pick<BackupSchedule, 'everyHours' | 'keep'>,
): Promise<BackupSchedule> {
  for (const name of ['everyHours', 'keep'] as const) {
    const { least, most } = SCHEDULE_BOUNDS[name];
    if (!(wish[name] >= least && wish[name] <= most))
      throw new AppError('invalid', `${name} must be from ${least} to ${most}`);
  }
  const found = await ownServer(world.db, op, 'hourly', reference);
  const nextAt = after(world.clock.now(), wish.everyHours * HOUR);
  const wanted = { serverId: found.id, everyHours: wish.everyHours, keep: wish.keep, nextAt, skipped: undefined };
  await world.db.transact(async (tx) => {
    const server = await lockOwn(tx, found);
    if (!isLiving(server)) throw new AppError('conflict', 'This server has ended.');
    await putSchedule(tx, wanted);
  });
  return wanted;
}

/** What it had made is kept until it expires. */
export async function unschedule(world: ComputeWorld, op: Op, reference: string): Promise<void> {
  const found = await ownServer(world.db, op, 'hourly', reference);
  await world.db.transact(async (tx) => {
    await lockOwn(tx, found);
    if (!(await removeSchedule(tx, found.id))) throw none();
  });
}

/** Has the next backup made whose time has come. False where there is none. */
export const runSchedule = (world: ComputeWorld, op: Op): Promise<boolean> =>
  world.db.transact(async (tx) => {
    const next = await nextDueSchedule(tx, op.now);
    if (!next) return false;
    // Whoever changes a schedule has locked its server.
    const server = await lockServer(tx, next.serverId);
    const due = await findSchedule(tx, next.serverId);
    if (!due || due.nextAt > op.now) return true;
    if (!server || !isLiving(server)) {
      await removeSchedule(tx, due.serverId);
      return true;
    }
    const skipped = await make(world, tx, op, server);
    await putSchedule(tx, { ...due, nextAt: nextAfter(due, op.now), skipped });
    return true;
  });

/** Answers why it is not made, where it is not. */
async function make(world: ComputeWorld, tx: Tx, op: Op, server: Server): Promise<string | undefined> {
  try {
    await request(world, tx, op, { id: newId(op, 'backup'), server, scheduled: true });
    return undefined;
  } catch (error) {
    // It was refused before anything was written.
    if (!isAppError(error)) throw error;
    return error.message;
  }
}

/** The first time of its rhythm that is yet to come: what was missed is not made up for. */
function nextAfter({ nextAt, everyHours }: BackupSchedule, now: Date): Date {
  const everyMs = everyHours * HOUR;
  const missed = Math.floor(Math.max(0, elapsedMs(nextAt, now)) / everyMs);
  return after(nextAt, (missed + 1) * everyMs);
}
