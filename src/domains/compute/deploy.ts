import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, assert } from '../../kernel/errors.ts';
import { newId, type AccountOp } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { limitsOf, parsePublicKey, type LimitsRequest } from '../machines/index.ts';
import { putAside } from './billing.ts';
import { planOf, type PlanId, type RegionId } from './catalogue.ts';
import { destroy } from './end.ts';
import { tell } from './facts.ts';
import { limitsFor } from './limits.ts';
import { monthlyPrice, newMeter } from './money.ts';
import { passwordOf } from './password.ts';
import { INSTANCE_BOUNDS, isLiving, MAX_ATTEMPTS, type NewServer, type Offer, type Server } from './server.ts';
import { settle } from './settle.ts';
import { countLiving, findServer, insertServer, lockAccount, takeAddress } from './store.ts';
import { steadfast, type ComputeWorld } from './world.ts';

const PATIENCE_MS = MINUTE;
const LOOK_EVERY_MS = 250;

/** A server as it is asked for. */
export type ServerOrder = {
  name: string;
  planId: PlanId;
  regionId: RegionId;
  /** A public key of OpenSSH for root; where there is none, root has a password. */
  sshKey?: string | undefined;
  /** The backup that its disk begins as a copy of. */
  restoredFrom?: string | undefined;
};

export type InstanceOrder = {
  name: string;
  slug?: string | undefined;
  sshKey: string;
  limits: Omit<LimitsRequest, 'pids'>;
};

/** `rootPassword` is told this once. */
export type Deployed = { server: Server; rootPassword: string | undefined };

/** All of them or none. Their first hour is put aside, and given back where one cannot be made. */
export const deployServers = (
  world: ComputeWorld,
  op: AccountOp,
  orders: readonly ServerOrder[],
  check?: Check,
): Promise<Deployed[]> =>
  deployAll(
    world,
    op,
    'hourly',
    orders.map((order, index) => wantedServer(world, op, order, index)),
    check,
  );

/** Looks once more, in the transaction of the deployment. */
type Check = (tx: Tx) => Promise<void>;

/**
 * Answers when SSH answers, or as it is after a while. Where it cannot be made nothing of it is left, and it costs
 * nothing; the same request once more tries once more.
 */
export async function createInstance(world: ComputeWorld, op: AccountOp, order: InstanceOrder): Promise<Server> {
  const wanted = wantedInstance(world, op, order, await labelOf(world, op));
  const [deployed] = await deployAll(world, op, 'monthly', [wanted]);
  assert(deployed, 'a deployment answers what it has deployed');
  for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
    await settle(world, unseeded(steadfast(op)), wanted.id);
    const server = (await findServer(world.db, wanted.id)) ?? deployed.server;
    if (server.state === 'error') {
      await destroy(world, op, 'monthly', server.id);
      throw new AppError('at_capacity', server.failure ?? 'The instance could not be made.');
    }
    if (!isLiving(server)) throw new AppError('conflict', 'This instance has ended.');
    if (server.state !== 'provisioning' || waitedMs >= PATIENCE_MS) return server;
    await sleep(LOOK_EVERY_MS);
    op.signal.throwIfAborted();
  }
}

/** Of the first try under this seed that has not failed for good: a failure of ours does not use up the caller's key. */
async function labelOf({ db }: ComputeWorld, op: AccountOp): Promise<string> {
  for (let tries = 0; ; tries++) {
    const label = tries === 0 ? 'instance' : `instance, try ${tries}`;
    const earlier = op.seed && (await findServer(db, newId(op, 'server', label)));
    if (!earlier || !couldNotBeMade(earlier)) return label;
  }
}

const couldNotBeMade = ({ activeAt, attempts }: Server): boolean => activeAt === undefined && attempts >= MAX_ATTEMPTS;

function unseeded({ seed: _seed, ...op }: AccountOp): AccountOp {
  return op;
}

async function deployAll(
  world: ComputeWorld,
  op: AccountOp,
  offer: Offer,
  wanted: readonly NewServer[],
  check?: Check,
): Promise<Deployed[]> {
  const servers = await world.db.transact((tx) => reserve(world, tx, op, { offer, wanted, check }));
  return servers.map((server) => ({
    server,
    rootPassword: server.password ? passwordOf(world.secret, server.id) : undefined,
  }));
}

/** Rows, money and facts in one transaction; their machines are made after it. */
async function reserve(
  world: ComputeWorld,
  tx: Tx,
  op: AccountOp,
  { offer, wanted, check }: { offer: Offer; wanted: readonly NewServer[]; check: Check | undefined },
): Promise<Server[]> {
  const { accountId } = op.actor;
  await lockAccount(tx, accountId);
  const earlier = op.seed ? await found(tx, wanted) : [];
  if (earlier.length > 0) return earlier;
  await check?.(tx);
  const limit = (await limitsFor(tx, accountId))[offer];
  if ((await countLiving(tx, accountId, offer)) + wanted.length > limit) throw tooMany(offer, limit);
  for (const server of wanted) {
    const address = await addressFor(world, tx, offer);
    if (!(await insertServer(tx, { ...server, address }))) throw new AppError('conflict', 'This slug is taken.');
    await putAside(world.ledger, tx, op, server);
    await tell(tx, op, 'server.deployed', server, { offer, plan: server.plan, region: server.region });
    await world.settleLater(tx, server.id);
  }
  return found(tx, wanted);
}

const found = async (tx: Tx, wanted: readonly NewServer[]): Promise<Server[]> => {
  const servers: Server[] = [];
  for (const { id } of wanted) {
    const server = await findServer(tx, id);
    if (server) servers.push(server);
  }
  return servers;
};

const tooMany = (offer: Offer, limit: number): AppError =>
  offer === 'hourly'
    ? new AppError(
        'forbidden',
        `Server limit reached: this account may have ${limit} active servers. Destroy one first, or ask for more (/docs/custom-requests).`,
      )
    : new AppError('conflict', `This account may have ${limit} compute instances.`);

/** Only servers have an address of their own, and only where the operator has some to give. */
async function addressFor({ addresses }: ComputeWorld, tx: Tx, offer: Offer): Promise<string | undefined> {
  if (offer === 'monthly' || addresses.length === 0) return undefined;
  const address = await takeAddress(tx, addresses);
  if (address === undefined) throw new AppError('at_capacity', 'No address is free — try again later');
  return address;
}

function wantedServer(world: ComputeWorld, op: AccountOp, order: ServerOrder, index: number): NewServer {
  const plan = planOf(order.planId);
  if (!plan) throw new AppError('invalid', 'There is no such plan.');
  const { vcpus, memoryMb, diskGb } = plan;
  return {
    ...unborn(world, op, `server ${index}`),
    offer: 'hourly',
    name: order.name,
    slug: undefined,
    plan: plan.id,
    region: order.regionId,
    limits: limitsOf({ vcpus, memoryMb, diskGb }),
    restoredFrom: order.restoredFrom,
    login: 'root',
    authorizedKeys: order.sshKey === undefined ? [] : [parsePublicKey(order.sshKey, 'sshKey')],
    password: order.sshKey === undefined,
    meter: newMeter('hourly', plan.hourly),
  };
}

function wantedInstance(world: ComputeWorld, op: AccountOp, order: InstanceOrder, label: string): NewServer {
  for (const [name, { least, most }] of Object.entries(INSTANCE_BOUNDS)) {
    const value = order.limits[name as keyof typeof INSTANCE_BOUNDS];
    if (!(value >= least && value <= most)) throw new AppError('invalid', `${name} must be from ${least} to ${most}`);
  }
  return {
    ...unborn(world, op, label),
    offer: 'monthly',
    name: order.name,
    slug: order.slug,
    plan: undefined,
    region: undefined,
    limits: limitsOf(order.limits),
    restoredFrom: undefined,
    login: 'agent',
    authorizedKeys: [parsePublicKey(order.sshKey, 'ssh_public_key')],
    password: false,
    meter: newMeter('monthly', monthlyPrice(order.limits)),
  };
}

const unborn = ({ clock }: ComputeWorld, op: AccountOp, label: string) =>
  ({
    id: newId(op, 'server', label),
    accountId: op.actor.accountId,
    machineId: newId(op, 'machine', `machine of ${label}`),
    address: undefined,
    state: 'provisioning',
    power: 'on',
    moving: undefined,
    failure: undefined,
    attempts: 0,
    createdAt: clock.now(),
    activeAt: undefined,
    suspendedAt: undefined,
    endedAt: undefined,
    machineRemoved: false,
  }) as const;
