import { isAppError } from '../../kernel/errors.ts';
import type { SandboxId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after, DAY, elapsedMs, MINUTE } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { allParts } from '../../platform/jobs/index.ts';
import { followFacts, type Fact } from '../../platform/outbox.ts';
import { ABANDONED_AFTER_MS } from './begin.ts';
import { available, pay } from './billing.ts';
import { endWithin, removeMachine } from './end.ts';
import { tell } from './facts.ts';
import { followMachine } from './follow.ts';
import { abandonedForks } from './fork-store.ts';
import { keepsMemory, MAX_PAUSED_MS } from './keep.ts';
import type { Kept } from './kept.ts';
import { affordablePeriods, paidUntil, periodsDue, prepay } from '../ledger/index.ts';
import { carryOut, layDown, pauseWithin } from './rest.ts';
import { LEASE_MS } from './sandbox.ts';
import { removeForkSnapshot } from './snapshots.ts';
import { forgetStarting, lockDue, lockSandbox, pausedBefore, saveSandbox, takeUnsettled } from './store.ts';
import { steadfast, type SandboxesWorld } from './world.ts';

const AT_ONCE = 8;
const BATCH = 100;
/** Longer than a hundred sandboxes take to be made. */
const ABANDONED_FORK_MS = 10 * MINUTE;
/** Whose machine facts it reads. */
const FOLLOWER = 'sandboxes';

/** Does what is due by the platform's clock. Any number of processes may do it at the same time. */
export async function tick(world: SandboxesWorld, op: Op): Promise<number> {
  const take = (tx: Tx, fact: Fact) => followMachine(world, tx, op, fact);
  return allParts([
    () => followFacts(world.db, FOLLOWER, take, (fact, error) => missed(world, fact, error)),
    () => doDue(world, op),
    () => endForgotten(world, op),
    () => tidyUp(world, op),
  ]);
}

const missed = ({ log }: SandboxesWorld, { seq, subject }: Fact, error: unknown): void =>
  log.error({ seq: String(seq), subject, err: error }, 'a fact of a machine could not be taken yet');

/** Periods to be paid and times that are over. One that fails is left for the next turn and stops no other. */
async function doDue(world: SandboxesWorld, op: Op): Promise<number> {
  const failed = new Set<SandboxId>();
  let done = 0;
  const worker = async () => {
    while (!op.signal.aborted) {
      const outcome = await doNext(world, op, failed);
      if (outcome === 'none') return;
      if (outcome === 'done') done++;
    }
  };
  // Mostly nothing is due, which one look tells.
  const first = await doNext(world, op, failed);
  if (first === 'none') return 0;
  if (first === 'done') done++;
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return done;
}

async function doNext(world: SandboxesWorld, op: Op, failed: Set<SandboxId>): Promise<'done' | 'failed' | 'none'> {
  let found: Kept | undefined;
  try {
    const next = await world.db.transact(async (tx) => {
      found = await lockDue(tx, op.now, [...failed]);
      return found && decide(world, tx, op, found);
    });
    if (!next) return 'none';
    await follow(world, op, next);
    return 'done';
  } catch (error) {
    if (!found) throw error;
    failed.add(found.id);
    world.log.warn({ sandboxId: found.id, err: error }, 'what was due for a sandbox could not be done yet');
    return 'failed';
  }
}

/** What becomes of one that is due, written down with its money. Its machine follows. */
async function decide(world: SandboxesWorld, tx: Tx, op: Op, kept: Kept): Promise<Kept> {
  const { endAt } = kept;
  if (endAt && endAt <= op.now) return timeOver(world, tx, op, kept, { until: endAt, why: 'timeout' });
  const paid = await payOn(world, tx, op, kept);
  if (paid.meter.paidMs > kept.meter.paidMs && periodsDue(paid.meter, op.now) === 0) {
    const next = { ...paid, leaseUntil: leaseOf(paid, op.now) };
    await saveSandbox(tx, next);
    return next;
  }
  // It ran on for a moment after its money was used up: nobody pays for that.
  return timeOver(world, tx, op, paid, { until: paidUntil(paid.meter) ?? op.now, why: 'money' });
}

type Over = { until: Date; why: 'timeout' | 'money' };

async function timeOver(world: SandboxesWorld, tx: Tx, op: Op, kept: Kept, { until, why }: Over): Promise<Kept> {
  const { onTimeout, keepMemory } = kept.lifecycle;
  if (onTimeout !== 'pause') return await endWithin(world, tx, op, kept, { until, reason: why });
  const hasRoom = keepMemory && (await keepsMemory(world, tx, op, kept));
  // Nobody waits whom we could refuse: its disk is kept, and that its processes are not is told.
  const reason = keepMemory && !hasRoom ? 'no room for its memory' : undefined;
  const pausing = { until, by: why, keepMemory: hasRoom };
  return await pauseWithin(world, tx, op, kept, reason === undefined ? pausing : { ...pausing, reason });
}

/** Nobody has woken them in all the time that they were kept. */
async function endForgotten(world: SandboxesWorld, op: Op): Promise<number> {
  const before = after(op.now, -MAX_PAUSED_MS);
  const forgotten = await pausedBefore(world.db, before, BATCH);
  let done = 0;
  for (const id of forgotten) {
    const ended = await world.db.transact(async (tx) => {
      const kept = await lockSandbox(tx, id);
      if (kept?.state !== 'paused' || !kept.pausedAt || kept.pausedAt > before) return undefined;
      return await endWithin(world, tx, op, kept, { until: op.now, reason: 'timeout' });
    });
    if (!ended) continue;
    done++;
    await removeMachine(world, op, ended);
  }
  return done;
}

/** All periods that are due in one payment or, where that is too much, as many as can be had. */
async function payOn({ ledger }: SandboxesWorld, tx: Tx, op: Op, kept: Kept): Promise<Kept> {
  const due = periodsDue(kept.meter, op.now);
  const payFor = (periods: number) => pay(ledger, tx, op, kept, prepay(kept.meter, periods)).catch(unaffordable);
  const paid = await payFor(due);
  if (paid) return paid;
  const affordable = Math.min(due, affordablePeriods(kept.meter, await available(ledger, tx, kept)));
  return (affordable > 0 ? await payFor(affordable) : undefined) ?? kept;
}

function unaffordable(error: unknown): undefined {
  if (!isAppError(error, 'unaffordable')) throw error;
  return undefined;
}

const leaseOf = ({ leaseUntil }: Kept, now: Date): Date =>
  elapsedMs(now, leaseUntil) < LEASE_MS - DAY ? after(now, LEASE_MS) : leaseUntil;

async function follow(world: SandboxesWorld, op: Op, next: Kept): Promise<void> {
  if (next.state === 'destroyed') return removeMachine(world, op, next);
  if (next.moving) return carryOut(world, op, next);
  if (next.leaseUntil.getTime() === op.now.getTime() + LEASE_MS)
    await world.machines.extendLease(steadfast(op), next.machineId, next.leaseUntil);
}

/** Finishes or removes what somebody began who is gone. */
async function tidyUp(world: SandboxesWorld, op: Op): Promise<number> {
  const unsettled = await world.db.transact((tx) => takeUnsettled(tx, ABANDONED_AFTER_MS, BATCH));
  const queue = unsettled.values();
  const worker = async () => {
    for (const kept of queue) await settleOne(world, op, kept).catch((error) => notYet(world, kept, error));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const forks = await abandonedForks(world.db, ABANDONED_FORK_MS, BATCH);
  for (const snapshotId of forks) await removeForkSnapshot(world, op, snapshotId);
  return unsettled.length;
}

async function settleOne(world: SandboxesWorld, op: Op, kept: Kept): Promise<void> {
  if (kept.state === 'destroyed') return removeMachine(world, op, kept);
  const { moving, keptMemory } = kept;
  if (moving === 'resuming')
    return await carryOut(world, op, kept).catch((error) => cannotWake(world, op, kept, error));
  if (moving && keptMemory)
    return await carryOut(world, op, kept).catch((error) => cannotFreeze(world, op, kept, error));
  if (moving) return await carryOut(world, op, kept);
  if (kept.state !== 'starting') return;
  await world.db.transact((tx) => forgetStarting(tx, kept.id, kept.machineId));
  await world.machines.destroy(steadfast(op), kept.machineId);
}

/** It runs only in our books: it rests again, and what was paid for its waking is given back. */
async function cannotWake(world: SandboxesWorld, op: Op, kept: Kept, error: unknown): Promise<void> {
  if (!kept.meter.runningSince) throw error;
  notYet(world, kept, error);
  const by = kept.lifecycle.autoResume ? 'timeout' : 'request';
  const resting: Kept = { ...kept, state: 'paused', pausedAt: kept.meter.runningSince, pausedBy: by };
  await layDown(world, op, resting, kept);
}

/** It costs nothing any more, so it does not run on: its disk is kept, and that its processes are not is told. */
async function cannotFreeze(world: SandboxesWorld, op: Op, kept: Kept, error: unknown): Promise<void> {
  notYet(world, kept, error);
  await world.machines.stop(steadfast(op), kept.machineId);
  await world.db.transact(async (tx) => {
    const now = await lockSandbox(tx, kept.id);
    if (now?.state !== 'paused' || now.moving !== 'pausing') return;
    await saveSandbox(tx, { ...now, keptMemory: false, moving: undefined });
    const reason = 'its processes could not be frozen';
    await tell(tx, op, 'sandbox.paused', now, {
      by: now.pausedBy,
      keptMemory: false,
      usedMs: now.meter.usedMs,
      reason,
    });
  });
}

const notYet = (world: SandboxesWorld, { id }: Kept, error: unknown): void =>
  world.log.warn({ sandboxId: id, err: error }, 'a sandbox could not be settled yet');
