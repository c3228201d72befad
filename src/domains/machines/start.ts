import { AppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId, SnapshotId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { BASE_IMAGE } from './command.ts';
import { create, type Wanted } from './create.ts';
import type { NetworkMode, Standing } from './drivers/driver.ts';
import { checkLease, checkPurpose, checkStanding, limitsOf, type LimitsRequest, type Machine } from './machine.ts';
import { BUILDER } from './images/image.ts';
import { isOfPool, onceThereIsRoom, takeFromPool } from './pool.ts';
import { checkRules, type EgressRules } from './rules.ts';
import type { MachinesWorld } from './world.ts';

export type StartRequest = {
  accountId: AccountId;
  /** What it serves; for people who look at the list. */
  purpose: string;
  image?: string | undefined;
  limits: LimitsRequest;
  network: NetworkMode;
  /** Milliseconds from now until the machine is taken away, unless the lease is extended. */
  leaseMs: number;
  /** Commit an id before starting, and starting again under it finds the same machine. */
  id?: MachineId | undefined;
  /** Its disk begins as a copy of this snapshot of the same account, whose image it has then. */
  snapshot?: SnapshotId | undefined;
  /** What of the internet it may reach; all of it where nothing is said. */
  rules?: EgressRules | undefined;
  /** Where it is to be somebody's computer for long: it may have a longer lease, and is started again where it is lost. */
  standing?: Standing | undefined;
  /**
   * A machine that waits ready-made will do, where one of `POOLED_LIMITS` is asked for and nothing special. Only for
   * who commits something before anything runs in it: that it is taken may be lost with the database until then.
   */
  fromPool?: boolean | undefined;
};

const NO_RULES: EgressRules = { allow: [], deny: [] };

/**
 * Starts a machine and answers when it takes commands. Under a given id any number of calls start one machine.
 * Throws `at_capacity` where there is no room, `conflict` where the machine of that id has ended, `not_found` where
 * there is no such snapshot or image; after any failure nothing of the machine is left.
 */
export async function start(world: MachinesWorld, op: Op, request: StartRequest): Promise<Machine> {
  const wanted = wantedOf(op, request);
  const isForPool = request.fromPool === true && request.id === undefined && isOfPool(wanted);
  const pooled = isForPool ? await takeFromPool(world, op, wanted) : undefined;
  return pooled ?? (await onceThereIsRoom(world, op, () => create(world, op, wanted)));
}

function wantedOf(op: Op, request: StartRequest): Wanted {
  const { accountId, purpose, network, leaseMs, rules = NO_RULES, snapshot, standing, image = BASE_IMAGE } = request;
  checkLease(leaseMs, standing);
  if (standing) checkStanding(standing);
  checkPurpose(purpose);
  checkRules(rules);
  checkImage(op, image);
  const id = request.id ?? newId(op, 'machine');
  const limits = limitsOf(request.limits);
  return { id, accountId, purpose, image, limits, network, rules, snapshot, standing, leaseMs, ready: 'running' };
}

/** What machines that build images may do is not for anybody else. */
function checkImage(op: Op, image: string): void {
  if (image === BUILDER && op.actor.kind !== 'system') throw new AppError('not_found', `There is no image ${image}.`);
}
