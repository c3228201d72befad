import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import type { Tx } from '../../platform/db.ts';
import { giveBackFirst, giveBackLast, settleUp } from './billing.ts';
import { tell } from './facts.ts';
import { lockOwn, ownServer } from './policy.ts';
import type { Offer, Server } from './server.ts';
import { lockServer, saveServer } from './store.ts';
import { steadfast, type ComputeWorld } from './world.ts';

/**
 * Ends a server in whatever state: it costs nothing more from the hour on that runs now. Its machine and its disk go
 * after that. Throws `conflict` where that has been said before.
 */
export async function destroy(world: ComputeWorld, op: Op, offer: Offer, reference: string): Promise<Server> {
  const found = await ownServer(world.db, op, offer, reference);
  const now = world.clock.now();
  return await world.db.transact(async (tx) => {
    const server = await lockOwn(tx, found);
    if (server.state === 'destroying') throw new AppError('conflict', 'This server is already being destroyed.');
    return endWithin(world, tx, { ...op, now }, server, now);
  });
}

/** State, money and fact: all or nothing. */
export async function endWithin(world: ComputeWorld, tx: Tx, op: Op, server: Server, until: Date): Promise<Server> {
  const { ledger } = world;
  if (server.state === 'provisioning') await giveBackFirst(ledger, tx, op, server);
  const meter = await settleUp(ledger, tx, op, server, until);
  const ending: Server = {
    ...server,
    meter,
    state: 'destroying',
    moving: undefined,
    failure: undefined,
    suspendedAt: undefined,
    endedAt: undefined,
  };
  await saveServer(tx, ending);
  await tell(tx, op, 'server.destroying', ending, { from: server.state, periods: meter.periods });
  await world.settleLater(tx, server.id);
  return ending;
}

/** It is over without its owner's doing: what was paid for the time that runs is given back. */
export async function failWithin(
  world: ComputeWorld,
  tx: Tx,
  op: Op,
  server: Server,
  failure: string,
): Promise<Server> {
  const { ledger } = world;
  if (server.state === 'provisioning') await giveBackFirst(ledger, tx, op, server);
  const meter = server.state === 'active' ? await giveBackLast(ledger, tx, op, server) : server.meter;
  const failed: Server = {
    ...server,
    meter,
    state: 'error',
    failure,
    moving: undefined,
    suspendedAt: undefined,
    endedAt: op.now,
  };
  await saveServer(tx, failed);
  await tell(tx, op, 'server.failed', failed, { failure, from: server.state });
  await world.settleLater(tx, server.id);
  return failed;
}

/** Removes what there is of a server that is over. By anybody, any number of times. */
export async function remove(world: ComputeWorld, op: Op, server: Server): Promise<void> {
  await world.machines.destroy(steadfast(op), server.machineId);
  const now = world.clock.now();
  await world.db.transact(async (tx) => {
    const left = await lockServer(tx, server.id);
    if (left?.state === 'error') return saveServer(tx, { ...left, machineRemoved: true });
    if (left?.state !== 'destroying') return;
    const gone: Server = { ...left, state: 'destroyed', machineRemoved: true, endedAt: now };
    await saveServer(tx, gone);
    await tell(tx, { ...op, now }, 'server.destroyed', gone);
  });
}
