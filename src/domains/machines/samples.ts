import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { after, elapsedMs, HOUR, SECOND } from '../../kernel/time.ts';
import type { Usage } from './drivers/driver.ts';
import type { Machine } from './machine.ts';
import { visibleTo } from './policy.ts';
import type { Sample } from './sample.ts';
import { forgetSamples, insertSamples, machinesToSample, samplesOf } from './sample-store.ts';
import { findMachine } from './store.ts';
import { usageOf } from './used.ts';
import type { MachinesWorld } from './world.ts';

export const SAMPLE_EVERY_SECONDS = 5;
const KEPT_MS = HOUR;
/** A turn that comes a little early still counts as the next one. */
const TOLERANCE_MS = SECOND;
const LOOKED_AT_ONCE = 8;
const PERCENT = 100;

/** What a machine used in a span of the last hour, oldest first. */
export async function samples(
  world: MachinesWorld,
  op: Op,
  id: MachineId,
  span: { start: Date; end: Date },
): Promise<Sample[]> {
  const { limits } = visibleTo(op, await findMachine(world.db, id));
  const found = await samplesOf(world.db, id, span);
  return found
    .map((sample, index) => ({ ...sample, cpuUsedPercent: cpuUsedPercent(found[index - 1], sample, limits.vcpus) }))
    .filter(({ at }) => at >= span.start);
}

type Moment = Usage & { at: Date };

function cpuUsedPercent(before: Moment | undefined, sample: Moment, vcpus: number): number {
  const seconds = before ? elapsedMs(before.at, sample.at) / SECOND : 0;
  if (!before || seconds <= 0) return 0;
  const share = (sample.cpuSeconds - before.cpuSeconds) / seconds / vcpus;
  return Math.min(PERCENT, Math.max(0, share * PERCENT));
}

/** Notes what each running machine uses that was not looked at for some seconds; answers how many. */
export async function takeSamples(world: MachinesWorld, op: Op): Promise<number> {
  const since = after(op.now, TOLERANCE_MS - SAMPLE_EVERY_SECONDS * SECOND);
  const machines = await machinesToSample(world.db, world.driver.place, since);
  const taken = await lookAt(world, machines);
  await world.db.transact(async (tx) => {
    if (taken.length > 0) await insertSamples(tx, taken);
    await forgetSamples(tx, after(op.now, -KEPT_MS));
  });
  return taken.length;
}

async function lookAt(world: MachinesWorld, machines: readonly Machine[]) {
  const queue = machines.values();
  const taken: { machineId: MachineId; at: Date; usage: Usage }[] = [];
  const worker = async () => {
    for (const machine of queue) {
      const usage = usageOf(machine, await world.driver.usage(machine.id));
      if (usage) taken.push({ machineId: machine.id, at: world.clock.now(), usage });
    }
  };
  await Promise.all(Array.from({ length: LOOKED_AT_ONCE }, worker));
  return taken;
}
