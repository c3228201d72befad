import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { settleRun } from './billing.ts';
import { tell } from './facts.ts';
import { destroyed, type Kept } from './kept.ts';
import { lockLiving, ownSandbox } from './policy.ts';
import { removePorts } from './port-store.ts';
import type { EndReason } from './sandbox.ts';
import { noteMachineRemoved, saveSandbox } from './store.ts';
import { steadfast, type SandboxesWorld } from './world.ts';

/** Ends a sandbox in whatever state, gives back what was paid and not used, and removes its machine. */
export async function destroy(world: SandboxesWorld, op: Op, reference: string): Promise<void> {
  const found = await ownSandbox(world.db, op, reference);
  const now = world.clock.now();
  const ended = await world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    return endWithin(world, tx, { ...op, now }, kept, { until: now, reason: 'request' });
  });
  await removeMachine(world, op, ended);
}

export type Ending = { until: Date; reason: EndReason };

/** State, money, ports and fact: all or nothing. Its machine is to be removed after that. */
export async function endWithin(
  world: SandboxesWorld,
  tx: Tx,
  op: Op,
  kept: Kept,
  { until, reason }: Ending,
): Promise<Kept> {
  const settled = await settleRun(world.ledger, tx, op, kept, until);
  // A lost machine is gone: that is how we know.
  const ended = { ...destroyed(settled, settled.meter, until, reason), machineRemoved: reason === 'lost' };
  await removePorts(tx, kept.id);
  await saveSandbox(tx, ended);
  await tell(tx, op, 'sandbox.destroyed', ended, { reason, usedMs: ended.meter.usedMs });
  return ended;
}

/** What cannot be removed now stays marked, and the sweep tries again. */
export async function removeMachine(world: SandboxesWorld, op: Op, { id, machineId }: Kept): Promise<void> {
  try {
    await world.machines.destroy(steadfast(op), machineId);
    await world.db.transact((tx) => noteMachineRemoved(tx, id));
  } catch (error) {
    world.log.warn({ sandboxId: id, machineId, err: error }, 'the machine of a sandbox could not be removed yet');
  }
}
