import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { SECOND } from '../../../kernel/time.ts';
import { askDialled, type DialledReply } from '../../../platform/dialled-request.ts';
import { houseOp, type SkillsWorld } from './world.ts';

const PORT = 8080;
const HEALTH_LIMIT_MS = 2 * SECOND;
const MAX_HEALTH_BYTES = 1_000;
/** More than the program's server sends. */
const MAX_RESULT_BYTES = 12_000_000;

type Asking = Pick<SkillsWorld, 'machines' | 'clock'>;

/** Whether the machine's server answers that it is well. */
export async function isHealthy(world: Asking, op: Op, id: MachineId): Promise<boolean> {
  const wanted = {
    method: 'GET',
    path: '/healthz',
    timeLimitMs: HEALTH_LIMIT_MS,
    maxReplyBytes: MAX_HEALTH_BYTES,
  } as const;
  const reply = await askDialled(dialOf(world, op, id), { ...wanted, signal: op.signal });
  return reply.kind === 'answered' && reply.status === 200;
}

/** Has the machine's program run on an input. */
export const askToRun = (
  world: Asking,
  op: Op,
  id: MachineId,
  { body, limitMs }: { body: string; limitMs: number },
): Promise<DialledReply> =>
  askDialled(dialOf(world, op, id), {
    method: 'POST',
    path: '/run',
    body,
    timeLimitMs: limitMs,
    maxReplyBytes: MAX_RESULT_BYTES,
    signal: op.signal,
  });

const dialOf = (world: Asking, op: Op, id: MachineId) => (signal: AbortSignal) =>
  world.machines.dial(houseOp(world, op, signal), id, PORT);
