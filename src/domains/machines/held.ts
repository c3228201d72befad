import type { Machine } from './machine.ts';
import { BEAT_MS, stayBusy } from './undertaking-store.ts';
import type { MachinesWorld } from './world.ts';

/** A machine that nobody else can do anything with but end it, until who holds the token is done or dies. */
export type Held = { machine: Machine; token: string };

/** Does what takes time with a machine that is held, and lets everybody know that it is still being done. */
export async function whileHeld<Result>(
  world: MachinesWorld,
  { machine, token }: Held,
  work: () => Promise<Result>,
): Promise<Result> {
  const beat = setInterval(() => {
    world.db
      .transact((tx) => stayBusy(tx, machine.id, token))
      .catch((error: Error) => world.log.warn({ machineId: machine.id, err: error }, 'a machine could not be held'));
  }, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}
