import { isAppError } from '../../kernel/errors.ts';
import { parseId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import type { Fact } from '../../platform/outbox.ts';
import { settleRun } from './billing.ts';
import { endWithin } from './end.ts';
import { tell } from './facts.ts';
import { paused, running, type Kept } from './kept.ts';
import { payFirst } from './rest.ts';
import { forgetStarting, lockByMachine, saveSandbox } from './store.ts';
import type { SandboxesWorld } from './world.ts';

const FOLLOWED = ['machine.destroyed', 'machine.held_back', 'machine.resumed'];

/** What becomes of a sandbox whose machine changed without being asked to by it. */
export async function followMachine(world: SandboxesWorld, tx: Tx, op: Op, fact: Fact): Promise<void> {
  const machineId = FOLLOWED.includes(fact.type) ? parseId('machine', fact.subject) : undefined;
  const kept = machineId && (await lockByMachine(tx, machineId));
  if (!kept) return;
  if (fact.type === 'machine.held_back') return standStill(world, tx, { ...op, now: fact.at }, kept);
  if (fact.type === 'machine.resumed') return goOn(world, tx, { ...op, now: fact.at }, kept);
  // A sandbox whose machine is gone is over, and pays for no more than it had.
  if (kept.state === 'starting') return void (await forgetStarting(tx, kept.id, kept.machineId));
  await endWithin(world, tx, op, kept, { until: lastSeenOf(kept, fact), reason: 'lost' });
}

/** Nobody pays for the time in which its host was down. */
function lastSeenOf({ meter: { runningSince } }: Kept, fact: Fact): Date {
  const seenAt = typeof fact.data['seenAt'] === 'string' ? new Date(fact.data['seenAt']) : fact.at;
  return runningSince && seenAt >= runningSince ? seenAt : fact.at;
}

/** Its machine was frozen for the sake of the host: nobody pays for that. */
async function standStill(world: SandboxesWorld, tx: Tx, op: Op, kept: Kept): Promise<void> {
  if (kept.state !== 'running') return;
  const { meter, transfers } = await settleRun(world.ledger, tx, op, kept, op.now);
  const next: Kept = { ...paused({ ...kept, transfers }, meter, op.now, 'host', true), moving: undefined };
  await saveSandbox(tx, next);
  await tell(tx, op, 'sandbox.paused', next, { by: 'host', keptMemory: true, usedMs: meter.usedMs });
}

/** Its machine was let go on; where that cannot be paid any more, it is paused like any other. */
async function goOn(world: SandboxesWorld, tx: Tx, op: Op, kept: Kept): Promise<void> {
  if (kept.state !== 'paused' || kept.pausedBy !== 'host' || kept.moving) return;
  try {
    const paid = await payFirst(world, tx, op, kept, op.now);
    const next: Kept = { ...running(paid, paid.meter, op.now, undefined), moving: undefined };
    await saveSandbox(tx, next);
    await tell(tx, op, 'sandbox.resumed', next, { keptMemory: true });
  } catch (error) {
    if (!isAppError(error, 'unaffordable')) throw error;
    const next: Kept = { ...kept, pausedBy: 'money', moving: 'pausing' };
    await saveSandbox(tx, next);
    await tell(tx, op, 'sandbox.paused', next, { by: 'money', keptMemory: true, usedMs: kept.meter.usedMs });
  }
}
