import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../kernel/errors.ts';
import type { AccountOp } from '../../kernel/op.ts';
import { MAX_KEPT_BYTES, type Interaction, type Stream } from './interaction.ts';
import { findInteraction, outputAfter } from './interaction-store.ts';
import { ownInteraction } from './policy.ts';
import type { EnvironmentsWorld } from './world.ts';

const LOOK_MS = 250;
/** So often it is told that there is nothing to tell, for what is in between and cuts quiet connections. */
const LOOKS_PER_BEAT = 60;

export type Followed =
  /** `offset`: bytes of the stream before these. */
  | { kind: 'output'; stream: Stream; offset: number; data: Buffer }
  | { kind: 'beat' }
  | { kind: 'end'; interaction: Interaction };

/**
 * What a command prints as it comes, from so many bytes of each stream on, and at last how it ended. It is read from
 * where it is kept, so it can be joined again at any place, also after a restart of the server.
 */
export async function follow(
  { db }: Pick<EnvironmentsWorld, 'db'>,
  op: AccountOp,
  names: { sessionId: string; id: string },
  from: Record<Stream, number>,
): Promise<AsyncGenerator<Followed>> {
  for (const offset of Object.values(from))
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > MAX_KEPT_BYTES)
      throw new AppError('invalid', `An offset is a number of bytes from 0 to ${MAX_KEPT_BYTES}`);
  const { id } = await ownInteraction(db, op, names.sessionId, names.id);
  return told({ db }, op, id, from);
}

async function* told(
  { db }: Pick<EnvironmentsWorld, 'db'>,
  { signal }: AccountOp,
  id: Interaction['id'],
  from: Record<Stream, number>,
): AsyncGenerator<Followed> {
  const at = { ...from };
  for (let looks = 1; !signal.aborted; looks++) {
    const seen = await outputAfter(db, id, at);
    for (const stream of ['stdout', 'stderr'] as const) {
      const data = seen[stream];
      if (data.length === 0) continue;
      yield { kind: 'output', stream, offset: at[stream], data };
      at[stream] += data.length;
    }
    if (seen.isOver) {
      const interaction = await findInteraction(db, id);
      if (interaction) yield { kind: 'end', interaction };
      return;
    }
    if (looks % LOOKS_PER_BEAT === 0) yield { kind: 'beat' };
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {}); // who asked has gone, which the loop sees
  }
}
