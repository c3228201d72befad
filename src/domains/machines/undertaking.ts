import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import { stopwatch } from '../../platform/clock.ts';
import type { Tx } from '../../platform/db.ts';
import type { Held } from './held.ts';
import { unfit, type Machine, type MachineState, type Undertaking } from './machine.ts';
import { visibleTo } from './policy.ts';
import { settleLeft } from './settle.ts';
import { seeMachine, takeMachine, type Seen } from './undertaking-store.ts';
import type { MachinesWorld } from './world.ts';

/** How long one who wants a machine waits for those who have it. */
const PATIENCE_MS = 2 * MINUTE;
const LOOK_EVERY_MS = 20;

export type Wish = {
  as: Undertaking;
  from: readonly MachineState[];
  /** The state in which there is nothing left to do. */
  done?: MachineState;
  /** Looks once more, in the transaction that takes the machine. */
  check?: (tx: Tx, machine: Machine) => Promise<void>;
};

/**
 * Gets a machine to itself, one after the other where several want it; what a process that died was doing is put right
 * first. Answers the machine as it is where there is nothing left to do. Throws `conflict` where it is in another state.
 */
export async function take(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  wish: Wish,
): Promise<{ held: Held } | { done: Machine }> {
  const waitedMs = stopwatch();
  for (;;) {
    op.signal.throwIfAborted();
    const seen = await seeMachine(world.db, id);
    const machine = visibleTo(op, seen?.machine);
    const busy = seen?.busy;
    if (busy?.isLeft) await settleLeft(world, op, { machine, busy });
    else if (busy) await waitFor(seen, waitedMs());
    else if (machine.state === wish.done) return { done: machine };
    else if (!wish.from.includes(machine.state)) throw new AppError('conflict', unfit(machine.state));
    else {
      const token = randomUUID();
      const taken = await world.db.transact(async (tx) => {
        await wish.check?.(tx, machine);
        return await takeMachine(tx, id, { as: wish.as, from: wish.from, token });
      });
      if (taken) return { held: { machine: taken, token } };
    }
  }
}

async function waitFor({ machine }: Seen, waitedMs: number): Promise<void> {
  if (waitedMs > PATIENCE_MS)
    throw new AppError('conflict', 'Something else is being done with this machine.', { cause: machine });
  await sleep(LOOK_EVERY_MS);
}
