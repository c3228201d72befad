import type { Op } from '../../../kernel/op.ts';
import { after, SECOND } from '../../../kernel/time.ts';
import { allParts } from '../../../platform/jobs/index.ts';
import type { ComputeWorld } from '../world.ts';
import { EXPIRED_SHOWN_MS } from './backup.ts';
import { expireWithin } from './request.ts';
import { runSchedule } from './schedule.ts';
import { expiredBackups, forgetBackups, lockBackup, unsettledBackups } from './store.ts';

const BATCH = 100;
/** What is unsettled for so long was left behind. */
const LEFT_AFTER_MS = 5 * SECOND;

/** Does what is due by the platform's clock. Any number of processes may do it at the same time. */
export const tickBackups = (world: ComputeWorld, op: Op): Promise<number> =>
  allParts([
    () => expireDue(world, op),
    () => makeDue(world, op),
    () => world.db.transact((tx) => forgetBackups(tx, after(op.now, -EXPIRED_SHOWN_MS), BATCH)),
    () => takeUpLeft(world),
  ]);

async function makeDue(world: ComputeWorld, op: Op): Promise<number> {
  let made = 0;
  while (made < BATCH && (await runSchedule(world, op))) made += 1;
  return made;
}

async function expireDue(world: ComputeWorld, op: Op): Promise<number> {
  const due = await expiredBackups(world.db, op.now, BATCH);
  for (const id of due)
    await world.db.transact(async (tx) => {
      const backup = await lockBackup(tx, id);
      if (backup && backup.state !== 'expired') await expireWithin(world, tx, op, backup);
    });
  return due.length;
}

const takeUpLeft = ({ db, backUpLater }: ComputeWorld): Promise<number> =>
  db.transact(async (tx) => {
    const left = await unsettledBackups.takeLeft(tx, LEFT_AFTER_MS, BATCH);
    for (const id of left) await backUpLater(tx, id);
    return left.length;
  });
