import { AppError, isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { parsePublicKey, type SshAccess } from '../machines/index.ts';
import { tell } from './facts.ts';
import { requireActive } from './move.ts';
import { lockOwn, ownServer } from './policy.ts';
import { isLiving, type Offer, type Server } from './server.ts';
import { saveServer } from './store.ts';
import type { ComputeWorld } from './world.ts';

export type ServerAccess = SshAccess & { ipv4: string | undefined };

/** How to get in; undefined before it is there and after its end. */
export async function accessTo(
  { ssh, hostAddress }: ComputeWorld,
  op: Op,
  server: Server,
): Promise<ServerAccess | undefined> {
  if (!isLiving(server) || server.state === 'provisioning') return undefined;
  try {
    const access = await ssh.get(op, server.machineId);
    return { ...access, ipv4: server.address ?? (await hostAddress()) };
  } catch (error) {
    if (!isAppError(error, 'not_found')) throw error;
    return undefined;
  }
}

/**
 * From now on the owner of this key comes in, and nobody by the key or the password before. Whoever is inside stays.
 * Throws `conflict` unless it is up.
 */
export async function rotateKey(
  world: ComputeWorld,
  op: Op,
  offer: Offer,
  reference: string,
  { key, field }: { key: string; field: string },
): Promise<Server> {
  const authorizedKeys = [parsePublicKey(key, field)];
  const found = await ownServer(world.db, op, offer, reference);
  requireActive(found);
  if (found.power === 'off') throw new AppError('conflict', 'This server is off: start it first.');
  await world.ssh.open(op, found.machineId, { authorizedKeys, login: found.login });
  const now = world.clock.now();
  return await world.db.transact(async (tx) => {
    const server = { ...(await lockOwn(tx, found)), authorizedKeys, password: false };
    await saveServer(tx, server);
    await tell(tx, { ...op, now }, 'server.rekeyed', server);
    return server;
  });
}
