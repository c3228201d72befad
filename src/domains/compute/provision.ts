import { once } from 'node:events';
import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { STANDING_LEASE_MS } from '../machines/index.ts';
import { prepareDisk } from './backups/disk.ts';
import { payFirst } from './billing.ts';
import { wakeUp } from './boot.ts';
import { failWithin } from './end.ts';
import { tell } from './facts.ts';
import { begin } from './money.ts';
import { passwordOf } from './password.ts';
import { hostnameOf, MAX_ATTEMPTS, type Server } from './server.ts';
import type { Progress } from './settle.ts';
import { findServer, lockServer, saveServer } from './store.ts';
import { steadfast, type ComputeWorld } from './world.ts';

const BANNER_TIMEOUT_MS = 15 * SECOND;
const BANNER = 'SSH-2.0-';

/** Makes a server's machine. It is active, and paid from then on, when its sshd answers over the way that clients come. */
export async function provision(world: ComputeWorld, op: Op, server: Server): Promise<Progress> {
  try {
    await makeMachine(world, op, server);
    await untilSshAnswers(world, op, server);
    await activate(world, op, server);
    return 'done';
  } catch (error) {
    // Whoever is told to stop leaves it to another.
    if (op.signal.aborted || isForLater(error)) throw error;
    world.log.warn({ serverId: server.id, machineId: server.machineId, err: error }, 'a server could not be made');
    return await nextAttempt(world, op, server, error);
  }
}

async function makeMachine(world: ComputeWorld, op: Op, server: Server): Promise<void> {
  const { machines, ssh, secret } = world;
  const { id, machineId, accountId, limits, name, address, restoredFrom } = server;
  const snapshot = restoredFrom === undefined ? undefined : await prepareDisk(world, op, server);
  await machines.start(op, {
    id: machineId,
    accountId,
    purpose: `server:${id}`,
    limits,
    network: 'egress',
    leaseMs: STANDING_LEASE_MS,
    standing: { hostname: hostnameOf(name), address },
    ...(snapshot && { snapshot }),
  });
  await ssh.open(op, machineId, {
    authorizedKeys: server.authorizedKeys,
    login: server.login,
    ...(server.password && { password: passwordOf(secret, id) }),
  });
}

/** What a process that died was at is not free yet: that is no failure. */
const isForLater = (error: unknown): boolean => isAppError(error, 'conflict') && error.retryAfterSeconds !== undefined;

/** What a client sees first of an SSH server. */
async function untilSshAnswers({ ssh }: ComputeWorld, op: Op, { machineId }: Server): Promise<void> {
  const signal = AbortSignal.any([op.signal, AbortSignal.timeout(BANNER_TIMEOUT_MS)]);
  const connection = await ssh.connect({ ...op, signal }, machineId);
  try {
    const [said] = (await once(connection, 'data', { signal })) as [Buffer];
    if (!said.toString().startsWith(BANNER)) throw new AppError('conflict', 'SSH does not answer.');
  } finally {
    connection.destroy();
  }
}

async function activate(world: ComputeWorld, op: Op, { id, machineId }: Server): Promise<void> {
  const now = world.clock.now();
  const active = await world.db.transact(async (tx) => {
    const server = await lockServer(tx, id);
    // It may have been destroyed while it was being made.
    if (server?.state !== 'provisioning' || server.machineId !== machineId) return undefined;
    await payFirst(world.ledger, tx, { ...op, now }, server);
    const next: Server = { ...server, state: 'active', activeAt: now, meter: begin(server.meter, now) };
    await saveServer(tx, next);
    await tell(tx, { ...op, now }, 'server.activated', next);
    return next;
  });
  if (!active) return;
  await wakeUp(world, op, active);
}

/** The machine is given up; another is tried, and after a few the server is in error and its money back. */
async function nextAttempt(world: ComputeWorld, op: Op, { id, machineId }: Server, error: unknown): Promise<Progress> {
  // The database may have gone away after it had written that the server is up.
  const seen = await findServer(world.db, id);
  if (seen?.state !== 'provisioning' || seen.machineId !== machineId) return 'done';
  await giveUpMachine(world, op, { id, machineId });
  const now = world.clock.now();
  await world.db.transact(async (tx) => {
    const server = await lockServer(tx, id);
    if (server?.state !== 'provisioning' || server.machineId !== machineId) return;
    const attempts = server.attempts + 1;
    const next = { ...server, attempts, machineId: newId({ ...op, now }, 'machine', `attempt ${attempts} of ${id}`) };
    if (attempts < MAX_ATTEMPTS) await saveServer(tx, next);
    else await failWithin(world, tx, { ...op, now }, { ...server, attempts }, reasonOf(error));
  });
  return 'later';
}

/** It is written down that it ends. What cannot be removed now the machines' own sweep removes: nobody waits for that. */
async function giveUpMachine(world: ComputeWorld, op: Op, { id, machineId }: Pick<Server, 'id' | 'machineId'>) {
  await world.machines
    .destroy(steadfast(op), machineId)
    .catch((error: unknown) =>
      world.log.warn({ serverId: id, machineId, err: error }, 'the machine of a server could not be removed yet'),
    );
}

/** What its owner is told. */
const reasonOf = (error: unknown): string =>
  isAppError(error) ? error.message : 'The machine could not be made on this host.';
