import { join } from 'node:path';
import type { Op } from '../../../kernel/op.ts';
import { SECOND } from '../../../kernel/time.ts';
import { execute, houseSkill } from './execute.ts';
import { shipmentOf, type Shipment } from './programs.ts';
import { HOUSE_SKILLS, type HouseSkill } from './skill.ts';
import { createStandings } from './standing.ts';
import type { SkillsWorld } from './world.ts';

const PROGRAMS = join(import.meta.dirname, '../../../../skills');
const RUN_LIMIT_MS = 30 * SECOND;

type Given = Omit<SkillsWorld, 'shipment' | 'skills' | 'runLimitMs'> & {
  /** The folder of the programs, where each has one of its skill's name. */
  programs?: string;
  skills?: readonly HouseSkill[];
  /** How long one run may take. */
  runLimitMs?: number;
  /** What programs of the operator show that run skills; without it none may. */
  internalKey: string | undefined;
};

/** The server's own skills: each a small program behind HTTP in a machine that is started when it is first called. */
export function createSkills({ programs = PROGRAMS, internalKey, ...given }: Given) {
  const world: SkillsWorld = {
    skills: HOUSE_SKILLS,
    runLimitMs: RUN_LIMIT_MS,
    ...given,
    shipment: shipments(programs),
  };
  const standings = createStandings(world);
  return {
    secret: { header: 'x-internal-api-key', value: internalKey, refusal: 'Invalid internal API key' },
    all: world.skills,
    /** Throws `not_found`. */
    find: (id: string) => houseSkill(world, id),
    execute: (op: Op, id: string, input: Readonly<Record<string, unknown>>) => execute(world, op, id, input),
    /** How a skill stands, as far as can be told without starting it. */
    standing: (op: Op, id: string) => standings.standing(op, houseSkill(world, id)),
    /** Whether it works, which is tried; how seldom a machine is started for that, `standing.ts` says. */
    probe: (op: Op, id: string) => standings.probe(op, houseSkill(world, id)),
  };
}

/** Each is read and packed once. */
function shipments(programs: string): SkillsWorld['shipment'] {
  const packed = new Map<string, Promise<Shipment>>();
  return (skill) => {
    const known = packed.get(skill.id) ?? shipmentOf(programs, skill);
    packed.set(skill.id, known);
    // What could not be read is read again by whoever asks next.
    known.catch(() => packed.delete(skill.id));
    return known;
  };
}
