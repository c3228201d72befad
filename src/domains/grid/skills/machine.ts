import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { AccountId, MachineId } from '../../../kernel/ids.ts';
import { newId, type Op } from '../../../kernel/op.ts';
import { after, DAY, elapsedMs, HOUR, MINUTE, SECOND } from '../../../kernel/time.ts';
import { isHealthy } from './ask.ts';
import { programPath, type Shipment } from './programs.ts';
import type { HouseSkill } from './skill.ts';
import {
  claimStart,
  findSkillMachine,
  forgetOtherVersions,
  markSkillMachine,
  type At,
  type SkillMachine,
} from './store.ts';
import { houseOp, type SkillsWorld } from './world.ts';

/** Whose machines are that the server has for itself. */
const HOUSE = '00000000-0000-0000-0000-000000000001' as AccountId;
const LIMITS = { vcpus: 1, memoryMb: 512, diskGb: 0.25, pids: 128 };
/** A machine that nobody has called for so long is given back. */
const LEASE_MS = HOUR;
/** From the request for a machine until its server answers. */
const START_LIMIT_MS = 50 * SECOND;
/** Whoever was starting it is dead by then. */
const ABANDONED_MS = MINUTE;
/** Machines of other versions are remembered so long after they were started. */
const OTHER_VERSIONS_KEPT_MS = 7 * DAY;
const WAIT_STEP_MS = 100;
const WAIT_STEPS = (ABANDONED_MS + START_LIMIT_MS) / WAIT_STEP_MS;
const FOLDER = '/opt/skill';
/** The users that runs have may write nowhere; the server is this command's last word. */
const LAUNCH = `chmod -f o-rwx /tmp /var/tmp /run/lock /dev/shm /dev/mqueue; exec node ${FOLDER}/server.mjs`;

/**
 * The machine that runs this version of a skill, started where there is none. Of all who call, in whatever process, one
 * starts it and the others wait. Throws `at_capacity` where it could not be started.
 */
export async function readyMachine(world: SkillsWorld, op: Op, skill: HouseSkill): Promise<MachineId> {
  const shipment = await world.shipment(skill);
  const at = await placeOf(world, skill);
  for (let step = 0; step < WAIT_STEPS; step += 1) {
    op.signal.throwIfAborted();
    const kept = await findSkillMachine(world.db, at);
    if (kept?.state === 'ready' && (await goesOn(world, op, kept))) return kept.machineId;
    if (kept && isBeingStarted(world, kept)) {
      await sleep(WAIT_STEP_MS);
      continue;
    }
    const next = { machineId: newId(houseOp(world, op, op.signal), 'machine'), at: world.clock.now() };
    if (await world.db.transact((tx) => claimStart(tx, at, kept, next)))
      return await start(world, op, skill, { id: next.machineId, at, before: kept, shipment });
  }
  throw notAvailable('it was not started in time');
}

export const placeOf = async (world: Pick<SkillsWorld, 'place' | 'shipment'>, skill: HouseSkill): Promise<At> => ({
  skill: skill.id,
  place: world.place,
  version: (await world.shipment(skill)).version,
});

export const notAvailable = (cause: unknown): AppError => new AppError('at_capacity', 'Skill not available', { cause });

export const isBeingStarted = ({ clock }: Pick<SkillsWorld, 'clock'>, { state, stateAt }: SkillMachine): boolean =>
  state === 'starting' && elapsedMs(stateAt, clock.now()) < ABANDONED_MS;

/** Whether it runs, and may go on doing so for a while. */
async function goesOn(world: SkillsWorld, op: Op, { machineId }: SkillMachine): Promise<boolean> {
  const asked = houseOp(world, op, op.signal);
  try {
    const machine = await world.machines.get(asked, machineId);
    if (machine.state !== 'running' || machine.leaseUntil <= asked.now) return false;
    if (elapsedMs(asked.now, machine.leaseUntil) < LEASE_MS / 2)
      await world.machines.extendLease(asked, machineId, after(asked.now, LEASE_MS));
    return true;
  } catch (error) {
    // It ended while it was looked at.
    if (isAppError(error, 'not_found') || isAppError(error, 'conflict')) return false;
    throw error;
  }
}

type Start = { id: MachineId; at: At; before: SkillMachine | undefined; shipment: Shipment };

/** Goes on when the caller has gone: others wait for it too. */
async function start(world: SkillsWorld, op: Op, skill: HouseSkill, { id, at, before, shipment }: Start) {
  const steadfast = houseOp(world, op, AbortSignal.timeout(START_LIMIT_MS));
  const mark = (state: 'ready' | 'failed') =>
    world.db.transact(async (tx) => {
      const now = world.clock.now();
      await forgetOtherVersions(tx, at, after(now, -OTHER_VERSIONS_KEPT_MS));
      return markSkillMachine(tx, at, id, { state, at: now });
    });
  try {
    if (before) await world.machines.destroy(steadfast, before.machineId);
    await launch(world, steadfast, skill, { id, shipment });
    if (!(await mark('ready'))) throw new Error('another process has taken it for abandoned');
    return id;
  } catch (error) {
    world.log.warn({ skill: skill.id, machineId: id, err: error }, 'a skill could not be started');
    await mark('failed');
    // What cannot be removed now goes when its lease is over.
    await world.machines
      .destroy(houseOp(world, op, AbortSignal.timeout(START_LIMIT_MS)), id)
      .catch((cause: unknown) => world.log.warn({ machineId: id, err: cause }, 'a machine could not be removed'));
    throw notAvailable(error);
  }
}

async function launch(
  world: SkillsWorld,
  op: Op,
  skill: HouseSkill,
  { id, shipment }: Pick<Start, 'id' | 'shipment'>,
): Promise<void> {
  const { machines } = world;
  await machines.start(op, {
    id,
    accountId: HOUSE,
    purpose: `skill:${skill.id}`,
    limits: LIMITS,
    network: 'none',
    leaseMs: LEASE_MS,
  });
  for (const { path, content } of shipment.files)
    await machines.writeFile(op, id, `${FOLDER}/${path}`, content, { user: 'root', mode: '644' });
  const env = {
    SKILL_FOLDER: FOLDER,
    SKILL_PROGRAM: programPath(skill),
    SKILL_RUN_LIMIT_MS: String(programLimitMs(world.runLimitMs)),
  };
  const server = await machines.run(op, id, { command: LAUNCH, user: 'root', cwd: '/', env, onDisconnect: 'keep' });
  server.close();
  while (!(await isHealthy(world, op, id))) await sleep(WAIT_STEP_MS, undefined, { signal: op.signal });
}

/** The program's server gives up a little before we do, so that it can say so. */
const programLimitMs = (runLimitMs: number): number => Math.max(SECOND, runLimitMs - 2 * SECOND);

/** Has the next call start another machine in the place of one that does not answer. */
export async function giveUp(world: SkillsWorld, skill: HouseSkill, machineId: MachineId): Promise<void> {
  const at = await placeOf(world, skill);
  world.log.warn({ skill: skill.id, machineId }, 'the machine of a skill does not answer');
  await world.db.transact((tx) => markSkillMachine(tx, at, machineId, { state: 'failed', at: world.clock.now() }));
}
