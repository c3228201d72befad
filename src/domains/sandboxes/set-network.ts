import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { shownOf } from './kept.ts';
import { checkNetwork, checkProxy, rulesOf, tidied } from './network.ts';
import { lockLiving } from './policy.ts';
import { settled } from './rest.ts';
import type { Outward, Sandbox } from './sandbox.ts';
import { saveSandbox } from './store.ts';
import type { SandboxesWorld } from './world.ts';

/** Replaces what it may reach; who may reach it stays as it is. The rules hold before they are shown. */
export async function setNetwork(world: SandboxesWorld, op: Op, reference: string, wanted: Outward): Promise<Sandbox> {
  const outward = tidied(wanted);
  checkNetwork(outward);
  await checkProxy(world.machines, outward);
  const found = await settled(world, op, reference);
  if (found.state !== 'running') throw new AppError('conflict', 'The sandbox is paused.');
  await world.machines.setRules(op, found.machineId, rulesOf(outward) ?? { allow: [], deny: [] });
  return world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    const next = { ...kept, network: { ...kept.network, ...outward } };
    await saveSandbox(tx, next);
    return shownOf(next);
  });
}
