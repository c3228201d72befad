import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../../kernel/errors.ts';
import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { SECOND } from '../../../kernel/time.ts';
import type { DialledReply } from '../../../platform/dialled-request.ts';
import { askToRun, isHealthy } from './ask.ts';
import { giveUp, notAvailable, readyMachine } from './machine.ts';
import { askEngine } from './search.ts';
import type { HouseSkill } from './skill.ts';
import type { SkillsWorld } from './world.ts';

const MAX_TRIES = 3;
const PAUSE_MS = 0.25 * SECOND;
const MAX_DETAILS_LENGTH = 2_000;

/** What came of a run. That a program cannot work with its input is an outcome as well. */
export type Execution = { skill: HouseSkill; attempts: number; endedAt: Date } & Ended;
type Ended =
  | { kind: 'done'; result: unknown }
  | { kind: 'refused'; status: number; details: string }
  | { kind: 'timeout' };

/** `failed` and `late` may be tried again. */
type Tried = Exclude<Ended, { kind: 'timeout' }> | { kind: 'late' } | { kind: 'failed'; cause: unknown };
type Input = Readonly<Record<string, unknown>>;

/**
 * Runs a skill on an input, up to three times where its machine fails or is late: a program keeps nothing, so that a
 * repetition has no effect but its result. Throws `not_found`, `unconfigured`, and `at_capacity` where it is of no use.
 */
export async function execute(world: SkillsWorld, op: Op, id: string, input: Input): Promise<Execution> {
  const skill = houseSkill(world, id);
  if (isUnconfigured(world, skill))
    throw new AppError('unconfigured', 'Skill not available: FREEHOLD_SEARCH_URL is not set');
  for (let attempts = 1; ; attempts += 1) {
    const tried = await tryOnce(world, op, skill, input);
    op.signal.throwIfAborted();
    const facts = { skill, attempts, endedAt: world.clock.now() };
    if (tried.kind === 'done' || tried.kind === 'refused') return { ...facts, ...tried };
    if (attempts === MAX_TRIES && tried.kind === 'late') return { ...facts, kind: 'timeout' };
    if (attempts === MAX_TRIES) throw notAvailable(tried.kind === 'failed' ? tried.cause : undefined);
    await sleep(PAUSE_MS * attempts);
  }
}

export function houseSkill({ skills }: SkillsWorld, id: string): HouseSkill {
  const skill = skills.find((one) => one.id === id);
  if (!skill) throw new AppError('not_found', 'Skill not found');
  return skill;
}

export const isUnconfigured = ({ search }: SkillsWorld, { id }: HouseSkill): boolean =>
  id === 'google_search' && search === undefined;

async function tryOnce(world: SkillsWorld, op: Op, skill: HouseSkill, input: Input): Promise<Tried> {
  let whole = input;
  if (skill.id === 'google_search' && world.search) {
    const searched = await askEngine(world.search, op, input);
    if (!searched.ok) return notSearched(searched);
    whole = { ...input, answer: searched.answer };
  }
  const machineId = await readyMachine(world, op, skill);
  const reply = await askToRun(world, op, machineId, { body: JSON.stringify(whole), limitMs: world.runLimitMs });
  if (reply.kind !== 'answered' && !op.signal.aborted) await replaceUnlessHealthy(world, op, skill, machineId);
  return triedBy(reply);
}

function notSearched({ reason, says }: { reason: 'refused' | 'late' | 'failed'; says: string }): Tried {
  if (reason === 'refused') return { kind: 'refused', status: 422, details: says };
  return reason === 'late' ? { kind: 'late' } : { kind: 'failed', cause: says };
}

/** Where only this run went wrong, the machine goes on for others. */
async function replaceUnlessHealthy(world: SkillsWorld, op: Op, skill: HouseSkill, id: MachineId): Promise<void> {
  if (!(await isHealthy(world, op, id))) await giveUp(world, skill, id);
}

const OK = 200;
const LEAST_SERVER_ERROR = 500;
const LATE = 504;

function triedBy(reply: DialledReply): Tried {
  if (reply.kind === 'silent') return { kind: 'late' };
  if (reply.kind !== 'answered') return { kind: 'failed', cause: reply.cause };
  const { status, body } = reply;
  if (status === LATE) return { kind: 'late' };
  if (status >= LEAST_SERVER_ERROR) return { kind: 'failed', cause: body };
  const said = jsonOf(body);
  if (said === undefined) return { kind: 'failed', cause: 'the program answered no JSON' };
  return status === OK ? { kind: 'done', result: said } : { kind: 'refused', status, details: sentenceIn(said, body) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no value of JSON is
  }
}

const sentenceIn = (said: unknown, body: string): string => {
  const error: unknown = typeof said === 'object' && said !== null && 'error' in said ? said.error : body;
  return String(error).slice(0, MAX_DETAILS_LENGTH);
};
