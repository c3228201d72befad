import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, isAppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE, SECOND } from '../../kernel/time.ts';
import { stopwatch } from '../../platform/clock.ts';
import type { Tx } from '../../platform/db.ts';
import { pay, settleRun } from './billing.ts';
import { tell } from './facts.ts';
import { checkHost, checkShare } from './keep.ts';
import { paused, running, shownOf, type Kept } from './kept.ts';
import { beginMeter as begin } from '../ledger/index.ts';
import { lockLiving, ownSandbox } from './policy.ts';
import { LEASE_MS, type PauseReason, type Sandbox } from './sandbox.ts';
import { findById, lockAccount, noteMoved, saveSandbox } from './store.ts';
import { steadfast, type SandboxesWorld } from './world.ts';

/** Pausing without memory gives processes a few seconds to end. */
const MAX_MOVE_MS = 20 * SECOND;
const MOVE_POLL_MS = 15;
/** Whoever waits for a move so long does it too: its mover may be dead. */
const HELP_AFTER_MS = SECOND;
/** What traffic wakes, lives at least so long. */
const LEAST_WOKEN_MS = 5 * MINUTE;

/**
 * Throws `conflict` where it is paused already, `rate_limited` or `at_capacity` where there is no room for one more
 * that rests. From now on nothing is charged.
 */
export async function pause(
  world: SandboxesWorld,
  op: Op,
  reference: string,
  { keepMemory }: { keepMemory: boolean },
): Promise<Sandbox> {
  const found = await settled(world, op, reference);
  const now = world.clock.now();
  if (keepMemory && found.state === 'running') await checkHost(world, op, found);
  const kept = await world.db.transact(async (tx) => {
    await lockAccount(tx, found.accountId);
    const locked = await lockLiving(tx, found);
    if (locked.state !== 'running' || locked.moving) throw new AppError('conflict', 'The sandbox is paused already.');
    await checkShare(tx, locked, keepMemory);
    return pauseWithin(world, tx, { ...op, now }, locked, { until: now, by: 'request', keepMemory });
  });
  await carryOut(world, op, kept);
  return { ...shownOf(kept), ready: true };
}

export type Pausing = { until: Date; by: PauseReason; keepMemory: boolean; reason?: string };

/** State, money and fact: all or nothing. Its machine is to be paused after that, by `carryOut`. */
export async function pauseWithin(
  world: SandboxesWorld,
  tx: Tx,
  op: Op,
  kept: Kept,
  { until, by, keepMemory, reason }: Pausing,
): Promise<Kept> {
  const { meter, transfers } = await settleRun(world.ledger, tx, op, kept, until);
  const next = paused({ ...kept, transfers }, meter, until, by, keepMemory);
  await saveSandbox(tx, next);
  const told = { by, keptMemory: keepMemory, usedMs: meter.usedMs, ...(reason !== undefined && { reason }) };
  await tell(tx, op, 'sandbox.paused', next, told);
  return next;
}

export type Waking = { timeoutMs?: number | undefined; keepMemory?: boolean | undefined };

/**
 * Wakes a paused sandbox, with its next minute paid. Undefined where somebody else has woken it, or is at it. Where
 * its machine cannot be woken it is paused as before, and nothing is paid.
 */
export async function resume(world: SandboxesWorld, op: Op, found: Kept, waking: Waking): Promise<Kept | undefined> {
  const now = world.clock.now();
  const woken = await world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    if (kept.state !== 'paused' || kept.moving) return undefined;
    const paid = await payFirst(world, tx, { ...op, now }, kept, now);
    const keptMemory = kept.keptMemory && waking.keepMemory !== false;
    const next = { ...running(paid, paid.meter, now, waking.timeoutMs), keptMemory };
    await saveSandbox(tx, next);
    await tell(tx, { ...op, now }, 'sandbox.resumed', next, { keptMemory });
    return { before: kept, next };
  });
  if (!woken) return undefined;
  try {
    await carryOut(world, op, woken.next);
    return { ...woken.next, moving: undefined };
  } catch (error) {
    await layDown(world, op, woken.before, woken.next);
    throw error;
  }
}

/** The first minute of a run. */
export async function payFirst(world: SandboxesWorld, tx: Tx, op: Op, kept: Kept, now: Date): Promise<Kept> {
  try {
    return await pay(world.ledger, tx, op, kept, begin(kept.meter, now));
  } catch (cause) {
    if (isAppError(cause, 'unaffordable'))
      throw new AppError('unaffordable', 'Insufficient balance for the first minute of the sandbox', { cause });
    throw cause;
  }
}

/** It rests again as it did, and whatever its machine has come to is paused once more, by the sweep. */
export async function layDown(world: SandboxesWorld, op: Op, before: Kept, woken: Kept): Promise<void> {
  const since = woken.meter.runningSince ?? op.now;
  await world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, woken).catch(absent);
    if (kept?.moving !== 'resuming') return;
    const { meter, transfers } = await settleRun(world.ledger, tx, { ...op, now: since }, kept, since);
    // What the host holds back goes on when there is room: it is not told to rest.
    const moving = before.pausedBy === 'host' ? undefined : 'pausing';
    await saveSandbox(tx, { ...before, keptMemory: woken.keptMemory, moving, meter, transfers });
    await tell(tx, op, 'sandbox.paused', before, { by: before.pausedBy, keptMemory: woken.keptMemory });
  });
}

function absent(error: unknown): undefined {
  if (!isAppError(error, 'not_found')) throw error;
  return undefined;
}

/** Brings the machine to where its sandbox says that it is. By anybody, any number of times. */
export async function carryOut(world: SandboxesWorld, op: Op, kept: Kept): Promise<void> {
  const { id, machineId, moving, keptMemory } = kept;
  if (!moving) return;
  const steady = steadfast(op);
  if (moving === 'resuming') await wakeMachine(world, steady, kept);
  else if (keptMemory) await world.machines.pause(steady, machineId);
  else await world.machines.stop(steady, machineId);
  await world.db.transact((tx) => noteMoved(tx, id, moving));
}

async function wakeMachine({ machines }: SandboxesWorld, op: Op, { machineId, keptMemory }: Kept): Promise<void> {
  const { state } = await machines.get(op, machineId);
  if (state === 'paused' && keptMemory) return void (await machines.resume(op, machineId));
  if (state === 'paused') await machines.stop(op, machineId);
  if (state === 'paused' || state === 'stopped') await machines.boot(op, machineId, { leaseMs: LEASE_MS });
}

/** As the caller sees it, when nothing is being done to its machine any more. */
export async function settled(world: SandboxesWorld, op: Op, reference: string): Promise<Kept> {
  const waited = stopwatch();
  for (;;) {
    const kept = await ownSandbox(world.db, op, reference);
    if (!kept.moving) return kept;
    if (waited() >= MAX_MOVE_MS)
      throw new AppError('conflict', 'The sandbox is being paused or resumed.', { retryAfterSeconds: 1 });
    if (waited() >= HELP_AFTER_MS) await carryOut(world, op, kept).catch(busy);
    await sleep(MOVE_POLL_MS);
    op.signal.throwIfAborted();
  }
}

/** Somebody else is at it, or it cannot be done just now. */
function busy(error: unknown): void {
  if (!isAppError(error, 'conflict') && !isAppError(error, 'at_capacity')) throw error;
}

/** What was paused by its timeout, with its memory, if its maker wanted that. */
const wakesByTraffic = ({ state, pausedBy, keptMemory, lifecycle }: Sandbox): boolean =>
  state === 'paused' && lifecycle.autoResume && keptMemory && pausedBy !== 'request';

/** As it is when it can take traffic; one that cannot be woken stays as it is. */
export async function awake(world: SandboxesWorld, sandbox: Sandbox): Promise<Sandbox> {
  if (sandbox.ready && !wakesByTraffic(sandbox)) return sandbox;
  const op: Op = {
    actor: { kind: 'system', name: 'sandboxes.awake' },
    requestId: `traffic-${sandbox.code}`,
    now: world.clock.now(),
    signal: new AbortController().signal,
  };
  try {
    for (;;) {
      const kept = await settled(world, op, sandbox.id);
      if (!wakesByTraffic(shownOf(kept))) return shownOf(kept);
      const woken = await resume(world, op, kept, { timeoutMs: Math.max(kept.timeoutMs ?? 0, LEAST_WOKEN_MS) });
      if (woken) return shownOf(woken);
    }
  } catch (error) {
    if (!isAppError(error)) throw error;
    world.log.info({ sandboxId: sandbox.id, reason: error.message }, 'traffic could not wake a sandbox');
    const kept = await findById(world.db, sandbox.id);
    return kept ? shownOf(kept) : { ...sandbox, state: 'destroyed' };
  }
}
