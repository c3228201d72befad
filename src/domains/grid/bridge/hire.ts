import { AppError, type Code, type Problem } from '../../../kernel/errors.ts';
import type { Tck } from '../../../kernel/money.ts';
import { newId } from '../../../kernel/op.ts';
import { after, SECOND } from '../../../kernel/time.ts';
import type { CreatedTask } from '../escrow/create-task.ts';
import type { Escrows } from '../escrow/index.ts';
import { findTask } from '../escrow/task-store.ts';
import { HOUSE } from '../nodes/node.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { findCapability, labelsOf, type Capability } from './capability.ts';
import { cheapestMatch, type Match } from './store.ts';

export type HireWish = {
  /** The program that hires. */
  integration: string;
  capability: string;
  payload: Record<string, unknown>;
  maxPrice: Tck;
  /** What is not delivered by then is given back. */
  deadlineSeconds: number;
};

export type Hired = CreatedTask & { capability: Capability };

/**
 * Orders work by the name of what it is, of the cheapest node that offers it. Throws `invalid` for a capability that
 * there is not, `conflict` where nobody offers it for this price at this time, and what ordering a task throws.
 */
export async function hire(
  world: GridWorld,
  { createTask }: Pick<Escrows, 'createTask'>,
  op: NodeOp,
  wish: HireWish,
): Promise<Hired> {
  const capability = findCapability(wish.capability);
  if (!capability) throw unknownCapability(wish.capability);
  const skillId = (await hiredBefore(world, op)) ?? (await choose(world, op, capability, wish.maxPrice)).skillId;
  const created = await createTask(op, {
    skillId,
    input: wish.payload,
    via: 'mcp',
    integration: wish.integration,
    maxPrice: wish.maxPrice,
    deadlineAt: after(op.now, wish.deadlineSeconds * SECOND),
  });
  return { ...created, capability };
}

/** The skill that the same request has chosen before, where it is carried out once more under its idempotency key. */
const hiredBefore = async ({ db }: GridWorld, op: NodeOp) =>
  op.seed && (await findTask(db, newId(op, 'gridTask')))?.skillId;

async function choose({ db }: GridWorld, { node }: NodeOp, capability: Capability, maxPrice: Tck): Promise<Match> {
  if (maxPrice < capability.typicalPrice) throw tooLittle('max_price too low for selected capability');
  const found = await cheapestMatch(db, labelsOf(capability), { ...node, house: HOUSE });
  if (!found) throw new AppError('conflict', 'No matching skill found for capability');
  if (!found.reachable)
    throw refusal('forbidden', 'capability', 'Sandbox nodes cannot hire production nodes, nor be hired by them');
  // What is typical is a guess; what a seller asks is what is paid.
  if (found.price > maxPrice) throw tooLittle('max_price is lower than the cheapest matching skill costs');
  return found;
}

/** A refusal that names the field that would have to be another. */
const refusal = (code: Code, name: 'capability' | 'max_price', message: string, problem: Problem = 'malformed') =>
  new AppError(code, message, { fields: [{ in: 'body', path: [name], message, problem }] });

const unknownCapability = (name: string): AppError =>
  refusal('invalid', 'capability', `Unknown capability '${name}'`, 'not_a_choice');

const tooLittle = (message: string): AppError => refusal('conflict', 'max_price', message, 'too_small');
