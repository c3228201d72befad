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
import type { AccountId, BackupId, ServerId } from '../../kernel/ids.ts';
import { accessTo, rotateKey, type ServerAccess } from './access.ts';
import type { Backup, BackupSchedule } from './backups/backup.ts';
import { settleBackup } from './backups/make.ts';
import { backUp, deleteBackup, listBackups, restore } from './backups/request.ts';
import { schedule, scheduleOf, unschedule } from './backups/schedule.ts';
import { consoleOf } from './boot.ts';
import { regionsAt, type Region } from './catalogue.ts';
import { createInstance, deployServers, type Deployed, type InstanceOrder, type ServerOrder } from './deploy.ts';
import { destroy } from './end.ts';
import { limitsFor, setLimits, type ServerLimits } from './limits.ts';
import { powerOff, powerOn, reboot } from './move.ts';
import { ownServer } from './policy.ts';
import { isShown, slugOf, type Offer, type Server } from './server.ts';
import { settle } from './settle.ts';
import { livingBySlug, serversOf } from './store.ts';
import { tick } from './tick.ts';
import type { ComputeWorld } from './world.ts';

export type { ServerAccess } from './access.ts';
export { BACKUP_KEPT_MS, MAX_BACKUPS, SCHEDULE_BOUNDS } from './backups/backup.ts';
export type { Backup, BackupSchedule, BackupState } from './backups/backup.ts';
export { PLAN_IDS, PLANS, REGION_IDS } from './catalogue.ts';
export type { Plan, PlanId, Region, RegionId } from './catalogue.ts';
export type { Deployed, InstanceOrder, ServerOrder } from './deploy.ts';
export { HIGHEST_LIMIT, type ServerLimits } from './limits.ts';
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
  /** It is `pending`. Throws `conflict` unless the server is up or while one is being made, `forbidden` (too many). */
  backUp(op: AccountOp, reference: string): Promise<Backup>;
  /** Newest first. */
  backups(op: AccountOp): Promise<Backup[]>;
  /** Throws `conflict` where it has expired. */
  deleteBackup(op: AccountOp, reference: string): Promise<void>;
  /** A new server like the one that was backed up. Throws what `deploy` does, `conflict` unless it is available. */
  restore(
    op: AccountOp,
    reference: string,
    wish: { sshKey?: string | undefined; name?: string | undefined },
  ): Promise<Deployed>;
  /** When a server is backed up by itself. Throws `not_found` where it is not. */
  backupSchedule(op: Op, reference: string): Promise<BackupSchedule>;
  scheduleBackups(
    op: Op,
    reference: string,
    wish: Pick<BackupSchedule, 'everyHours' | 'keep'>,
  ): Promise<BackupSchedule>;
  unscheduleBackups(op: Op, reference: string): Promise<void>;
  regions(): Region[];
  /** How many servers an account may have. */
  limits(accountId: AccountId): Promise<ServerLimits>;
  /** For the operator: what is left out is what holds for everybody. */
  setLimits(op: Op, accountId: AccountId, limits: Partial<ServerLimits>): Promise<ServerLimits>;
  /** For the proxy, without authorisation: the instance whose web port has this name, running or not. */
  bySubdomain(label: string): Promise<Server | undefined>;
  /** Does what is due: money, top-ups, grace times, what a crash left half-done. Answers how much it did. */
  tick(op: Op): Promise<number>;
  /** Brings one server's machine to where its row says. */
  settle(op: Op, id: ServerId): Promise<void>;
  /** Makes a backup, or removes what is left of it. */
  settleBackup(op: Op, id: BackupId): Promise<void>;
  sweeps: readonly SweepDefinition[];
  jobs: readonly JobDefinition<never>[];
};

export type ComputeOptions = Omit<ComputeWorld, 'settleLater' | 'backUpLater'> & { jobs: Pick<Jobs, 'enqueue'> };

type Settling = { id: ServerId };
type BackingUp = { id: BackupId };
const SETTLE: JobReference<Settling> = { name: 'compute.settle' };
/** Machines that one process makes, starts or stops for servers at the same time. */
const SETTLED_AT_ONCE = 8;
/** A restored disk may be large. */
const SETTLE_TIMEOUT_SECONDS = 60 * 60;
const BACK_UP: JobReference<BackingUp> = { name: 'compute.back-up' };
/** Backups that one process makes at the same time: each fills two processors. */
const BACKED_UP_AT_ONCE = 2;
const BACK_UP_TIMEOUT_SECONDS = 4 * 60 * 60;

export function createCompute({ jobs, ...rest }: ComputeOptions): Compute {
  const world: ComputeWorld = {
    ...rest,
    settleLater: (tx, id) => jobs.enqueue(tx, SETTLE, { id }),
    backUpLater: (tx, id) => jobs.enqueue(tx, BACK_UP, { id }),
  };
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
    backUp: (op, reference) => backUp(world, op, reference),
    backups: (op) => listBackups(world, op),
    deleteBackup: (op, reference) => deleteBackup(world, op, reference),
    restore: (op, reference, wish) => restore(world, op, reference, wish),
    backupSchedule: (op, reference) => scheduleOf(world, op, reference),
    scheduleBackups: (op, reference, wish) => schedule(world, op, reference, wish),
    unscheduleBackups: (op, reference) => unschedule(world, op, reference),
    regions: () => regionsAt(world.place, world.home),
    limits: (accountId) => limitsFor(db, accountId),
    setLimits: (op, accountId, limits) => setLimits(db, op, accountId, limits),
    bySubdomain: async (label) => {
      const slug = slugOf(label);
      return slug === undefined ? undefined : livingBySlug(db, slug);
    },
    tick: (op) => tick(world, op),
    settle: (op, id) => settle(world, op, id),
    settleBackup: (op, id) => settleBackup(world, op, id),
    sweeps: [defineSweep({ name: 'compute.tick', everySeconds: 1, runDue: (op) => tick(world, op) })],
    jobs: [
      defineJob<BackingUp>({
        ...BACK_UP,
        concurrency: BACKED_UP_AT_ONCE,
        timeoutSeconds: BACK_UP_TIMEOUT_SECONDS,
        lasts: 'long',
        run: (op, { id }) => settleBackup(world, op, id),
      }),
      defineJob<Settling>({
        ...SETTLE,
        concurrency: SETTLED_AT_ONCE,
        timeoutSeconds: SETTLE_TIMEOUT_SECONDS,
        run: (op, { id }) => settle(world, op, id),
      }),
    ],
  };
}
