import { isAppError } from '../../../kernel/errors.ts';
import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { elapsedMs, DAY, MINUTE, SECOND } from '../../../kernel/time.ts';
import { isHealthy } from './ask.ts';
import { isUnconfigured } from './execute.ts';
import { isBeingStarted, placeOf, readyMachine } from './machine.ts';
import type { HouseSkill, Standing } from './skill.ts';
import { findSkillMachine, type SkillMachine } from './store.ts';
import { houseOp, type SkillsWorld } from './world.ts';

/** How long whoever looks waits for an answer. */
const LOOK_LIMIT_MS = 10 * SECOND;
/** The same where the machine has to be started first, by us or by another process. */
const TRIAL_LIMIT_MS = 2 * MINUTE;
/**
 * Anybody may ask for a trial, and a trial may start a machine: so often at the most, over all who ask in whatever
 * process, for a skill that worked when it was last tried and for one that did not.
 */
const TRIAL_EVERY_MS = { ready: DAY, failed: 10 * MINUTE };

/** How a skill stands, and when that was tried. */
export type Probe = { standing: Standing; triedAt: Date };

/** Looks at the skills of the house. Of all who ask the same at once, one asks and the others hear its answer. */
export function createStandings(world: SkillsWorld) {
  const looks = sharing<Standing>();
  const trials = sharing<Probe>();
  return {
    /** How a skill stands. Its machine is asked where it has one, and none is started for the question. */
    standing: (op: Op, skill: HouseSkill): Promise<Standing> =>
      looks(skill.id, () => standingOf(world, houseOp(world, op, AbortSignal.timeout(LOOK_LIMIT_MS)), skill)),
    /**
     * Whether it works, which is tried: its machine is asked, and started where it has none. Where it was tried too
     * short a time ago to start one again, `resting` is what worked then.
     */
    probe: (op: Op, skill: HouseSkill): Promise<Probe> =>
      trials(skill.id, () => probe(world, houseOp(world, op, AbortSignal.timeout(TRIAL_LIMIT_MS)), skill)),
  };
}

/** Nobody's own signal ends a question: others wait for the answer too. */
function sharing<Answer>() {
  const asked = new Map<string, Promise<Answer>>();
  return (name: string, ask: () => Promise<Answer>): Promise<Answer> => {
    const known = asked.get(name);
    if (known) return known;
    const answer = ask().finally(() => asked.delete(name));
    asked.set(name, answer);
    return answer;
  };
}

async function standingOf(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<Standing> {
  if (isUnconfigured(world, skill)) return 'unconfigured';
  return standingOfMachine(world, op, await findSkillMachine(world.db, await placeOf(world, skill)));
}

async function standingOfMachine(world: SkillsWorld, op: Op, kept: SkillMachine | undefined): Promise<Standing> {
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

async function probe(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<Probe> {
  if (isUnconfigured(world, skill)) return { standing: 'unconfigured', triedAt: op.now };
  const kept = await findSkillMachine(world.db, await placeOf(world, skill));
  const standing = await standingOfMachine(world, op, kept);
  // Where a machine runs it has been asked, and whether it answers or not none is started.
  if (standing === 'ready' || (standing === 'failed' && kept?.state === 'ready')) return { standing, triedAt: op.now };
  if (kept && !mayTry(world, kept)) return { standing, triedAt: kept.stateAt };
  return { standing: await tryOut(world, op, skill), triedAt: world.clock.now() };
}

/** One that is being started is waited for. */
const mayTry = ({ clock }: SkillsWorld, { state, stateAt }: SkillMachine): boolean =>
  state === 'starting' || elapsedMs(stateAt, clock.now()) >= TRIAL_EVERY_MS[state];

async function tryOut(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<Standing> {
  try {
    return (await isHealthy(world, op, await readyMachine(world, op, skill))) ? 'ready' : 'failed';
  } catch (error) {
    if (isAppError(error, 'at_capacity') || op.signal.aborted) return 'failed';
    throw error;
  }
}
