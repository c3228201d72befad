import { AppError, isAppError } from '../../kernel/errors.ts';
import { newId, type AccountOp, type Op } from '../../kernel/op.ts';
import type { Snapshot } from '../machines/index.ts';
import { create, unseeded } from './begin.ts';
import { forgetFork, noteFork } from './fork-store.ts';
import type { Forked } from './index.ts';
import type { Kept } from './kept.ts';
import { settled } from './rest.ts';
import { checkTimeout } from './sandbox.ts';
import { steadfast, type SandboxesWorld } from './world.ts';

export const MAX_FORKS = 100;
const MADE_AT_ONCE = 8;

/** A copy of its disk as it is now, running or paused; the account's own, whatever becomes of the sandbox. */
export async function snapshot(
  world: SandboxesWorld,
  op: AccountOp,
  reference: string,
  { name }: { name?: string | undefined },
): Promise<Snapshot> {
  const kept = await settled(world, op, reference);
  return world.machines.snapshot(op, kept.machineId, { name });
}

export type Forking = { count: number; timeoutMs?: number | undefined };

/**
 * New sandboxes like this one: the same size, variables, metadata and rules, and a disk that begins as a copy of its
 * disk. They have codes, tokens and lives of their own. What could not be made says why in its place.
 */
export async function fork(
  world: SandboxesWorld,
  op: AccountOp,
  reference: string,
  { count, timeoutMs }: Forking,
): Promise<Forked[]> {
  if (!Number.isInteger(count) || count < 1 || count > MAX_FORKS)
    throw new AppError('invalid', `count must be from 1 to ${MAX_FORKS}`);
  if (timeoutMs !== undefined) checkTimeout(timeoutMs);
  const source = await settled(world, op, reference);
  // Also under a seed each attempt has a copy of its own: that of an earlier one is gone, and so cannot be had again.
  const id = newId(unseeded(op), 'snapshot');
  // Before it is there, so that whatever becomes of us somebody knows that it is nobody's.
  await world.db.transact((tx) => noteFork(tx, id, source.accountId));
  try {
    await world.machines.snapshot(unseeded(op), source.machineId, { id });
    return await makeAll(world, op, source, id, { count, timeoutMs });
  } finally {
    await removeForkSnapshot(world, op, id);
  }
}

async function makeAll(
  world: SandboxesWorld,
  op: AccountOp,
  source: Kept,
  template: Snapshot['id'],
  { count, timeoutMs }: Forking,
): Promise<Forked[]> {
  const forks: Forked[] = [];
  const numbers = Array.from({ length: count }, (_, index) => index).values();
  const worker = async () => {
    for (const number of numbers)
      forks[number] = await makeOne(world, op, source, { template, timeoutMs, label: `fork ${number}` });
  };
  await Promise.all(Array.from({ length: MADE_AT_ONCE }, worker));
  return forks;
}

type One = { template: Snapshot['id']; timeoutMs: number | undefined; label: string };

async function makeOne(
  world: SandboxesWorld,
  op: AccountOp,
  source: Kept,
  { template, timeoutMs, label }: One,
): Promise<Forked> {
  const { name, origin, limits, metadata, env, lifecycle, network } = source;
  const like = { name, origin, template, limits, timeoutMs, metadata, env, lifecycle, network };
  try {
    return { sandbox: await create(world, op, like, { label, shownTemplate: source.template }) };
  } catch (error) {
    if (!isAppError(error)) throw error;
    return { error };
  }
}

/** What cannot be removed now is removed by the sweep. */
export async function removeForkSnapshot(world: SandboxesWorld, op: Op, id: Snapshot['id']): Promise<void> {
  try {
    await world.machines.removeSnapshot(steadfast(op), id).catch(absent);
    await world.db.transact((tx) => forgetFork(tx, id));
  } catch (error) {
    world.log.warn({ snapshotId: id, err: error }, 'the snapshot of a fork could not be removed yet');
  }
}

/** It was never taken, or is gone already. */
function absent(error: unknown): void {
  if (!isAppError(error, 'not_found')) throw error;
}
