import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { shownOf } from './kept.ts';
import { checkNetwork, rulesOf } from './network.ts';
import { lockLiving } from './policy.ts';
import { settled } from './rest.ts';
import type { Network, Sandbox } from './sandbox.ts';
import { saveSandbox } from './store.ts';
import type { SandboxesWorld } from './world.ts';

/** Replaces what it may reach; who may reach it stays as it is. The rules hold before they are shown. */
export async function setNetwork(
  world: SandboxesWorld,
  op: Op,
  reference: string,
  outward: Pick<Network, 'allowOut' | 'denyOut' | 'internet'>,
): Promise<Sandbox> {
  checkNetwork(outward);
  const found = await settled(world, op, reference);
  if (found.state !== 'running') throw new AppError('conflict', 'The sandbox is paused.');
  await world.machines.setRules(op, found.machineId, rulesOf(outward) ?? { allow: [], deny: [] });
  return world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    const { allowOut, denyOut, internet } = outward;
    const next = { ...kept, network: { ...kept.network, allowOut, denyOut, internet } };
    await saveSandbox(tx, next);
    return shownOf(next);
  });
}
