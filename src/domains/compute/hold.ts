import type { Op } from '../../kernel/op.ts';
import { assert } from '../../kernel/errors.ts';
import type { ServerId } from '../../kernel/ids.ts';
import type { Tx } from '../../platform/db.ts';
import type { Fact } from '../../platform/outbox.ts';
import { settleUp } from './billing.ts';
import { failWithin } from './end.ts';
import { tell } from './facts.ts';
import { beginGrace, forgetHold, lockHeld, noteHold } from './hold-store.ts';
import type { Server } from './server.ts';
import { saveServer } from './store.ts';
import type { ComputeWorld } from './world.ts';

/** From now on none of the account's servers is on, whatever it was asked for before. */
export async function holdServers(tx: Tx, { accountId }: Fact): Promise<void> {
  assert(accountId, 'an account that is held is named');
  await noteHold(tx, accountId);
}

/** They come back as after a top-up, and those that cannot be paid have their whole time of grace. */
export async function releaseServers(tx: Tx, op: Op, { accountId }: Fact): Promise<void> {
  assert(accountId, 'an account that is released is named');
  await forgetHold(tx, accountId);
  await beginGrace(tx, accountId, op.now);
}

/**
 * Servers of accounts that are held: what runs is switched off, what is being made is given up. One that fails is left
 * for the next turn and stops no other.
 */
export async function switchOffHeld(world: ComputeWorld, op: Op): Promise<number> {
  const failed: ServerId[] = [];
  let done = 0;
  for (let server: Server | undefined; !op.signal.aborted; server = undefined) {
    try {
      await world.db.transact(async (tx) => {
        server = await lockHeld(tx, failed);
        if (server) await switchOff(world, tx, op, server);
      });
      if (!server) break;
      done++;
    } catch (error) {
      if (!server) throw error;
      failed.push(server.id);
      world.log.warn({ serverId: server.id, err: error }, 'a server could not be switched off yet');
    }
  }
  return done;
}

async function switchOff(world: ComputeWorld, tx: Tx, op: Op, server: Server): Promise<void> {
  if (server.state === 'provisioning') {
    await failWithin(world, tx, op, server, 'This account is suspended.');
    return;
  }
  const meter = await settleUp(world.ledger, tx, op, server, op.now);
  const next: Server = { ...server, meter, state: 'suspended', moving: 'stopping', suspendedAt: op.now };
  await saveServer(tx, next);
  await tell(tx, op, 'server.suspended', next, { reason: 'account held', periods: meter.periods });
  await world.settleLater(tx, server.id);
}
