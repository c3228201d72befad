import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { wakeUp } from './boot.ts';
import { tell } from './facts.ts';
import { lockOwn, ownServer } from './policy.ts';
import { settle } from './settle.ts';
import type { Moving, Offer, Server } from './server.ts';
import { findServer, lockServer, saveServer } from './store.ts';
import { steadfast, type ComputeWorld } from './world.ts';

/** How long programs may take over their end when a server is stopped: it must be off soon after it is not paid. */
export const STOP_GRACE_MS = 3 * SECOND;
/** How long a caller waits for what he asked for, and how often is looked whether it is done. */
const MAX_WAIT_MS = 30 * SECOND;
const POLL_MS = 50;

/** Brings a machine to where its server says that it is. By anybody, any number of times. */
export async function move(world: ComputeWorld, op: Op, server: Server): Promise<void> {
  const { moving, machineId } = server;
  if (!moving) return;
  const steady = steadfast(op);
  if (moving === 'starting') await start(world, steady, server);
  else await world.machines.stop(steady, machineId, { graceMs: STOP_GRACE_MS });
  await world.db.transact((tx) => moved(tx, server, moving));
}

async function start(world: ComputeWorld, op: Op, server: Server): Promise<void> {
  const { state } = await world.machines.get(op, server.machineId);
  if (state !== 'running') await world.machines.boot(op, server.machineId);
  await wakeUp(world, op, server);
}

/** What is left to be done, unless something else was decided meanwhile. */
async function moved(tx: Tx, { id }: Server, moving: Moving): Promise<void> {
  const server = await lockServer(tx, id);
  if (server?.moving !== moving) return;
  await saveServer(tx, { ...server, moving: moving === 'rebooting' ? 'starting' : undefined });
}

/** Stops all of its programs and starts it from its disk. */
export const reboot = (world: ComputeWorld, op: Op, offer: Offer, reference: string): Promise<Server> =>
  switched(world, op, offer, reference, (server) => {
    if (server.power === 'off') throw new AppError('conflict', 'This server is off: start it.');
    return { ...server, moving: 'rebooting' };
  });

/** Its disk and its address stay its own, so it is paid for as before. */
export const powerOff = (world: ComputeWorld, op: Op, offer: Offer, reference: string): Promise<Server> =>
  switched(world, op, offer, reference, (server) => {
    if (server.power === 'off') throw new AppError('conflict', 'This server is off already.');
    return { ...server, power: 'off', moving: 'stopping' };
  });

export const powerOn = (world: ComputeWorld, op: Op, offer: Offer, reference: string): Promise<Server> =>
  switched(world, op, offer, reference, (server) => {
    if (server.power === 'on') throw new AppError('conflict', 'This server is on already.');
    return { ...server, power: 'on', moving: 'starting' };
  });

/** Answers when it is done; what takes longer than a caller waits goes on without him. */
async function switched(
  world: ComputeWorld,
  op: Op,
  offer: Offer,
  reference: string,
  change: (server: Server) => Server,
): Promise<Server> {
  const found = await ownServer(world.db, op, offer, reference);
  const now = world.clock.now();
  const server = await world.db.transact(async (tx) => {
    const locked = await lockOwn(tx, found);
    requireActive(locked);
    const next = change(locked);
    await saveServer(tx, next);
    await tell(tx, { ...op, now }, factOf(next.moving), next);
    await world.settleLater(tx, next.id);
    return next;
  });
  await settle(world, steadfast(op), server.id);
  return untilMoved(world, op, server);
}

/** Somebody else may be at it already, who was woken by the change itself. */
async function untilMoved(world: ComputeWorld, { signal }: Op, server: Server): Promise<Server> {
  let seen = server;
  for (let waitedMs = 0; waitedMs < MAX_WAIT_MS && !signal.aborted; waitedMs += POLL_MS) {
    seen = (await findServer(world.db, server.id)) ?? server;
    if (!seen.moving) break;
    await sleep(POLL_MS);
  }
  return seen;
}

const factOf = (moving: Moving | undefined) =>
  moving === 'rebooting' ? 'server.rebooted' : moving === 'stopping' ? 'server.powered_off' : 'server.powered_on';

const UNFIT = {
  provisioning: 'This server is still being made.',
  suspended: 'This server is suspended: top up first.',
  error: 'This server is in error.',
  destroying: 'This server is being destroyed.',
  destroyed: 'This server is destroyed.',
} as const satisfies Record<Exclude<Server['state'], 'active'>, string>;

/** Throws `conflict` where it is not up, or something is being done with it. */
export function requireActive(server: Server): void {
  if (server.state !== 'active') throw new AppError('conflict', UNFIT[server.state]);
  if (server.moving)
    throw new AppError('conflict', 'This server is being started or stopped.', { retryAfterSeconds: 2 });
}
