import type { TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';

type World = Pick<TestApis, 'compute' | 'clock' | 'db'>;

/** What the sweep and the jobs do where they run. */
export async function settleAll({ compute, clock, db }: World): Promise<void> {
  const op = systemOp(clock.now());
  await compute.tick(op);
  for (const { id } of await db.query<{ id: never }>(`select id from servers`)) await compute.settle(op, id);
  for (const { id } of await db.query<{ id: never }>(`select id from backups`)) await compute.settleBackup(op, id);
}

/** Destroys every server there is, so that the host is as empty as before. */
export async function endAll(world: World): Promise<void> {
  const living = await world.db.query<{ id: string; offer: 'hourly' | 'monthly' }>(
    `select id, offer from servers where state not in ('destroying', 'destroyed')`,
  );
  for (const { id, offer } of living) await world.compute.destroy(systemOp(world.clock.now()), offer, id);
  await settleAll(world);
}
