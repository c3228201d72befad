import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, secretBytes, type AccountOp, type Op } from '../../kernel/op.ts';
import { after, MINUTE } from '../../kernel/time.ts';
import { commitLazily, isDatabaseAway, type Tx } from '../../platform/db.ts';
import type { Machine } from '../machines/index.ts';
import { available } from './billing.ts';
import { tell } from './facts.ts';
import type { NewSandbox } from './index.ts';
import { checkOverShare } from './keep.ts';
import { running, shownOf, type Kept, type NewKept } from './kept.ts';
import { beginMeter as begin, newMeter } from '../ledger/index.ts';
import { rulesOf } from './network.ts';
import { isUsual, planOf, type Plan } from './plan.ts';
import { payFirst } from './rest.ts';
import { LEASE_MS, MAX_SANDBOXES, type Sandbox } from './sandbox.ts';
import {
  countLiving,
  findById,
  forgetStarting,
  insertSandbox,
  lockAccount,
  lockSandbox,
  saveSandbox,
  takeOver,
} from './store.ts';
import { steadfast, type SandboxesWorld } from './world.ts';

/** Longer than any machine takes to be made: whoever was making it is dead. */
export const ABANDONED_AFTER_MS = MINUTE;
/** Of a machine from the pool, of which nobody knows but its maker until its sandbox runs. */
const FIRST_LEASE_MS = ABANDONED_AFTER_MS;
const CODE_LENGTH = 20;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const LETTERS_AND_DIGITS = `${LETTERS}0123456789`;

export type Birth = {
  /** Tells apart the sandboxes that are made in one request. */
  label?: string;
  /** What its template is called where that is not what it is made of. */
  shownTemplate?: string;
};

/**
 * Makes a sandbox: its row first, so that whatever becomes of us somebody knows of its machine; then the machine; then,
 * in one transaction, its first minute is paid and it runs. Under an idempotency seed the same sandbox is answered.
 */
export async function create(
  world: SandboxesWorld,
  op: AccountOp,
  request: NewSandbox,
  { label = '', shownTemplate }: Birth = {},
): Promise<Sandbox> {
  const plan = await planOf(world, op, request);
  const template = shownTemplate ?? plan.what.template;
  const wanted = { ...newKept(world, op, plan, label), template };
  const reserved = await world.db.transact((tx) => reserve(world, tx, wanted));
  if (reserved.kind === 'there') return shownOf(reserved.kept);
  if (reserved.kind === 'again') await world.machines.destroy(steadfast(op), reserved.leftBehind);
  let machine: Machine | undefined;
  try {
    machine = await startMachine(world, op, plan, wanted);
    return await firstRun(world, op, wanted, machine);
  } catch (error) {
    const lived = await giveUp(world, op, wanted, machine, error);
    if (lived) return shownOf(lived);
    throw failureOf(op, error);
  }
}

/** What is neither the caller's doing nor over in a moment is ours, in the document's words. */
function failureOf({ signal }: Op, error: unknown): unknown {
  const isKnown = error instanceof AppError || isDatabaseAway(error) || signal.aborted;
  return isKnown ? error : new AppError('internal', 'Failed to create sandbox', { cause: error });
}

function newKept({ clock }: SandboxesWorld, op: AccountOp, plan: Plan, label: string): NewKept {
  const now = clock.now();
  return {
    ...plan.what,
    id: newId(op, 'sandbox', `sandbox ${label}`),
    code: codeOf(secretBytes(op, `sandbox code ${label}`)),
    accountId: op.actor.accountId,
    // Each attempt has a machine of its own, also under a seed: what is left of an earlier one is not waited for.
    machineId: newId(unseeded(op), 'machine'),
    state: 'starting',
    moving: undefined,
    createdAt: now,
    startedAt: undefined,
    endAt: undefined,
    pausedAt: undefined,
    pausedBy: undefined,
    keptMemory: false,
    endedAt: undefined,
    endReason: undefined,
    machineRemoved: false,
    leaseUntil: after(now, LEASE_MS),
    meter: newMeter(plan.hourly),
    transfers: 0,
  };
}

export function unseeded({ seed: _seed, ...op }: AccountOp): AccountOp {
  return op;
}

/** Letters and digits that nobody can guess; a letter comes first, because it stands in host names. */
const codeOf = (bytes: Buffer): string =>
  Array.from(bytes.subarray(0, CODE_LENGTH), (byte, index) => {
    const alphabet = index === 0 ? LETTERS : LETTERS_AND_DIGITS;
    return alphabet[byte % alphabet.length];
  }).join('');

type Reserved = { kind: 'new' } | { kind: 'there'; kept: Kept } | { kind: 'again'; leftBehind: Kept['machineId'] };

async function reserve(world: SandboxesWorld, tx: Tx, wanted: NewKept): Promise<Reserved> {
  // Before anything is made, or given out, there is a commit that takes this one along.
  await commitLazily(tx);
  await lockAccount(tx, wanted.accountId);
  const earlier = await lockSandbox(tx, wanted.id);
  if (earlier && earlier.state !== 'starting') return { kind: 'there', kept: earlier };
  if (earlier) {
    if (await takeOver(tx, wanted.id, wanted.machineId, ABANDONED_AFTER_MS))
      return { kind: 'again', leftBehind: earlier.machineId };
    throw new AppError('conflict', 'This sandbox is being created.', { retryAfterSeconds: 1 });
  }
  if ((await countLiving(tx, wanted.accountId)) >= MAX_SANDBOXES)
    throw new AppError('rate_limited', `At most ${MAX_SANDBOXES} sandboxes may live at once`);
  await checkOverShare(tx, wanted.accountId);
  // Asked here so that nothing is made for nothing; what counts is the charge itself.
  if ((await available(world.ledger, tx, wanted)) < begin(wanted.meter, wanted.createdAt).owed)
    throw new AppError('unaffordable', 'Insufficient balance for the first minute of the sandbox');
  await insertSandbox(tx, wanted);
  return { kind: 'new' };
}

function startMachine({ machines }: SandboxesWorld, op: AccountOp, plan: Plan, wanted: NewKept): Promise<Machine> {
  const { source, what } = plan;
  const rules = rulesOf(what.network);
  return machines.start(unseeded(op), {
    accountId: wanted.accountId,
    purpose: `sandbox:${wanted.id}`,
    limits: plan.limits,
    network: 'egress',
    ...(rules && { rules }),
    ...(source.kind === 'image' && { image: source.image }),
    ...(source.kind === 'snapshot' && { snapshot: source.snapshot.id, image: source.snapshot.image }),
    // The row knows the id of a machine that is made for it, and not that of one from the pool.
    ...(isUsual(plan) ? { fromPool: true, leaseMs: FIRST_LEASE_MS } : { id: wanted.machineId, leaseMs: LEASE_MS }),
  });
}

async function firstRun(world: SandboxesWorld, op: Op, wanted: NewKept, machine: Machine): Promise<Sandbox> {
  const now = world.clock.now();
  const kept = await world.db.transact(async (tx) => {
    const locked = await lockSandbox(tx, wanted.id);
    if (locked?.state !== 'starting' || locked.machineId !== wanted.machineId)
      throw new AppError('conflict', 'The sandbox was removed while it was being created.');
    const paid = await payFirst(world, tx, { ...op, now }, locked, now);
    const { id: machineId, limits } = machine;
    const { leaseUntil } = await world.machines.extendLeaseWithin(tx, { ...op, now }, machineId, wanted.leaseUntil);
    const next = { ...running(paid, paid.meter, now, wanted.timeoutMs), machineId, limits, leaseUntil };
    await saveSandbox(tx, next);
    await tell(tx, { ...op, now }, 'sandbox.started', next, { template: next.template, size: next.size });
    return next;
  });
  return shownOf(kept);
}

/**
 * Leaves nothing of it. Answers the sandbox where it lives after all: a commit may have been made although we did not
 * hear of it.
 */
async function giveUp(
  world: SandboxesWorld,
  op: Op,
  { id, machineId }: NewKept,
  machine: Machine | undefined,
  error: unknown,
): Promise<Kept | undefined> {
  if (!isAppError(error)) world.log.warn({ sandboxId: id, err: error }, 'a sandbox could not be created');
  try {
    const kept = await findById(world.db, id);
    if (machine && kept?.state === 'running' && kept.machineId === machine.id) return kept;
    await world.db.transact((tx) => forgetStarting(tx, id, machineId));
    await world.machines.destroy(steadfast(op), machine?.id ?? machineId);
  } catch (failure) {
    world.log.warn({ sandboxId: id, err: failure }, 'a sandbox that was not created could not be removed yet');
  }
  return undefined;
}
