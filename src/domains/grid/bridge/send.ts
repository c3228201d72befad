import { AppError } from '../../../kernel/errors.ts';
import type { CreatedTask } from '../escrow/create-task.ts';
import type { Escrows } from '../escrow/index.ts';
import type { GridWorld, NodeOp } from '../world.ts';

export type SendWish = { skillId: string; input: Record<string, unknown>; callbackUrl: string | undefined };

/** Orders work of a skill for an agent that speaks A2A, and tells it at its own address how that goes. */
export async function send(
  { fetch }: Pick<GridWorld, 'fetch'>,
  { createTask }: Pick<Escrows, 'createTask'>,
  op: NodeOp,
  { callbackUrl, ...wish }: SendWish,
): Promise<CreatedTask> {
  const problem = callbackUrl === undefined ? undefined : fetch.urlProblem(callbackUrl);
  if (problem !== undefined) {
    const message = `callback_url ${problem}`;
    throw new AppError('invalid', message, {
      fields: [{ in: 'body', path: ['callback_url'], message, problem: 'malformed' }],
    });
  }
  return createTask(op, { ...wish, via: 'a2a', callbackUrl });
}
