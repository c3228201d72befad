import { isAppError } from '../../../kernel/errors.ts';
import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { isHealthy } from './ask.ts';
import { isUnconfigured } from './execute.ts';
import { isBeingStarted, placeOf, readyMachine } from './machine.ts';
import type { HouseSkill, Standing } from './skill.ts';
import { findSkillMachine } from './store.ts';
import { houseOp, type SkillsWorld } from './world.ts';

/** How a skill stands. Its machine is asked where it has one, and none is started for the question. */
export async function standingOf(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<Standing> {
  if (isUnconfigured(world, skill)) return 'unconfigured';
  const kept = await findSkillMachine(world.db, await placeOf(world, skill));
  if (!kept) return 'resting';
  if (kept.state === 'starting') return isBeingStarted(world, kept) ? 'starting' : 'resting';
  if (kept.state === 'failed') return 'failed';
  if (await isHealthy(world, op, kept.machineId)) return 'ready';
  // Nobody has called it for long, or the host went down: the next call starts it.
  return (await isGone(world, op, kept.machineId)) ? 'resting' : 'failed';
}

async function isGone(world: SkillsWorld, op: Op, id: MachineId): Promise<boolean> {
  const machine = await world.machines.get(houseOp(world, op, op.signal), id);
  return machine.state !== 'running';
}

/** The same after its machine has been started, if it was not. */
export async function probe(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<Standing> {
  const standing = await standingOf(world, op, skill);
  if (standing === 'ready' || standing === 'unconfigured') return standing;
  try {
    return (await isHealthy(world, op, await readyMachine(world, op, skill))) ? 'ready' : 'failed';
  } catch (error) {
    if (isAppError(error, 'at_capacity')) return 'failed';
    throw error;
  }
}
