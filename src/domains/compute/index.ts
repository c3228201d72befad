import { usd, type Usd } from '../../kernel/money.ts';
import type { AccountOp, Op } from '../../kernel/op.ts';
import {
  defineJob,
  defineSweep,
  type JobDefinition,
  type JobReference,
  type Jobs,
  type SweepDefinition,
} from '../../platform/jobs/index.ts';
import type { ServerId } from '../../kernel/ids.ts';
import { accessTo, rotateKey, type ServerAccess } from './access.ts';
import { consoleOf } from './boot.ts';
import { regionsAt, type Region } from './catalogue.ts';
import { createInstance, deployServers, type Deployed, type InstanceOrder, type ServerOrder } from './deploy.ts';
import { destroy } from './end.ts';
import { powerOff, powerOn, reboot } from './move.ts';
import { ownServer } from './policy.ts';
import { isShown, slugOf, type Offer, type Server } from './server.ts';
import { settle } from './settle.ts';
import { livingBySlug, serversOf } from './store.ts';
import { tick } from './tick.ts';
import type { ComputeWorld } from './world.ts';

export type { ServerAccess } from './access.ts';
export { PLAN_IDS, PLANS, REGION_IDS } from './catalogue.ts';
export type { Plan, PlanId, Region, RegionId } from './catalogue.ts';
export type { Deployed, InstanceOrder, ServerOrder } from './deploy.ts';
export { monthlyPrice } from './money.ts';
export {
  bulkLabels,
  GRACE_MS,
  INSTANCE_BOUNDS,
  INSTANCE_NAME_PATTERN,
  LABEL_PATTERN,
  MAX_BULK,
  MAX_INSTANCE_NAME_LENGTH,
  MAX_LABEL_LENGTH,
  MAX_SERVERS,
  SLUG_PATTERN,
  subdomainOf,
  WEB_PORT,
} from './server.ts';
export type { Offer, Server, ServerState } from './server.ts';

/**
 * Machines that accounts rent for long. A reference is an id, with or without its hyphens; what is not the caller's,
 * is destroyed or belongs to the other offer is `not_found`.
 */
export type Compute = {
  /** They are `provisioning`. Throws `forbidden` (too many), `unaffordable`, `invalid`, `at_capacity`: then none is. */
  deploy(op: AccountOp, orders: readonly ServerOrder[]): Promise<Deployed[]>;
  /** Answers when SSH answers. Throws `conflict` (too many, slug taken), `unaffordable`, `invalid`, `at_capacity`. */
  createInstance(op: AccountOp, order: InstanceOrder): Promise<Server>;
  get(op: Op, offer: Offer, reference: string): Promise<Server>;
  /** Oldest first. */
  list(op: AccountOp, offer: Offer): Promise<Server[]>;
  /** What an hour of all that is up costs. */
  hourlySpend(op: AccountOp): Promise<Usd>;
  access(op: Op, server: Server): Promise<ServerAccess | undefined>;
  /** Nothing is charged after the period that runs. Throws `conflict` where it is being destroyed already. */
  destroy(op: Op, offer: Offer, reference: string): Promise<Server>;
  /** `field` is what the caller calls the key. Throws `invalid`, `conflict` unless it is up. */
  rotateKey(op: Op, offer: Offer, reference: string, given: { key: string; field: string }): Promise<Server>;
  reboot(op: Op, offer: Offer, reference: string): Promise<Server>;
  powerOff(op: Op, offer: Offer, reference: string): Promise<Server>;
  powerOn(op: Op, offer: Offer, reference: string): Promise<Server>;
  /** The end of what it has printed on its console. */
  console(op: Op, offer: Offer, reference: string): Promise<string>;
  regions(): Region[];
  /** For the proxy, without authorisation: the instance whose web port has this name, running or not. */
  bySubdomain(label: string): Promise<Server | undefined>;
  /** Does what is due: money, top-ups, grace times, what a crash left half-done. Answers how much it did. */
  tick(op: Op): Promise<number>;
  /** Brings one server's machine to where its row says. */
  settle(op: Op, id: ServerId): Promise<void>;
  sweeps: readonly SweepDefinition[];
  jobs: readonly JobDefinition<never>[];
};

export type ComputeOptions = Omit<ComputeWorld, 'settleLater'> & { jobs: Pick<Jobs, 'enqueue'> };

type Settling = { id: ServerId };
const SETTLE: JobReference<Settling> = { name: 'compute.settle' };
/** Machines that one process makes, starts or stops for servers at the same time. */
const SETTLED_AT_ONCE = 8;
const SETTLE_TIMEOUT_SECONDS = 15 * 60;

export function createCompute({ jobs, ...rest }: ComputeOptions): Compute {
  const world: ComputeWorld = { ...rest, settleLater: (tx, id) => jobs.enqueue(tx, SETTLE, { id }) };
  const { db } = world;
  return {
    deploy: (op, orders) => deployServers(world, op, orders),
    createInstance: (op, order) => createInstance(world, op, order),
    get: (op, offer, reference) => ownServer(db, op, offer, reference),
    list: async (op, offer) => (await serversOf(db, op.actor.accountId, offer)).filter(isShown),
    async hourlySpend(op) {
      const servers = await serversOf(db, op.actor.accountId, 'hourly');
      return usd(servers.reduce((sum, { state, meter }) => (state === 'active' ? sum + meter.price : sum), 0n));
    },
    access: (op, server) => accessTo(world, op, server),
    destroy: (op, offer, reference) => destroy(world, op, offer, reference),
    rotateKey: (op, offer, reference, given) => rotateKey(world, op, offer, reference, given),
    reboot: (op, offer, reference) => reboot(world, op, offer, reference),
    powerOff: (op, offer, reference) => powerOff(world, op, offer, reference),
    powerOn: (op, offer, reference) => powerOn(world, op, offer, reference),
    console: (op, offer, reference) => consoleOf(world, op, offer, reference),
    regions: () => regionsAt(world.place, world.home),
    bySubdomain: async (label) => {
      const slug = slugOf(label);
      return slug === undefined ? undefined : livingBySlug(db, slug);
    },
    tick: (op) => tick(world, op),
    settle: (op, id) => settle(world, op, id),
    sweeps: [defineSweep({ name: 'compute.tick', everySeconds: 1, runDue: (op) => tick(world, op) })],
    jobs: [
      defineJob<Settling>({
        ...SETTLE,
        concurrency: SETTLED_AT_ONCE,
        timeoutSeconds: SETTLE_TIMEOUT_SECONDS,
        run: (op, { id }) => settle(world, op, id),
      }),
    ],
  };
}
