import { AppError } from '../../kernel/errors.ts';
import type { Op } from '../../kernel/op.ts';
import { after } from '../../kernel/time.ts';
import { shownOf, type Kept } from './kept.ts';
import { lockLiving, ownSandbox } from './policy.ts';
import { resume, settled, type Waking } from './rest.ts';
import { checkTimeout, type Sandbox } from './sandbox.ts';
import { saveSandbox } from './store.ts';
import type { SandboxesWorld } from './world.ts';

/** Has it end so long from now, sooner or later than it would have. */
export async function setEnd(world: SandboxesWorld, op: Op, reference: string, timeoutMs: number): Promise<Sandbox> {
  checkTimeout(timeoutMs);
  const found = await ownSandbox(world.db, op, reference);
  const now = world.clock.now();
  return world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    if (kept.state !== 'running') throw new AppError('conflict', 'The sandbox is paused.');
    const next = { ...kept, endAt: after(now, timeoutMs), timeoutMs };
    await saveSandbox(tx, next);
    if (timeoutMs === 0) await world.nudge(tx);
    return shownOf(next);
  });
}

/** Has it live at least so long from now, and wakes it where it is paused. */
export async function keepAlive(
  world: SandboxesWorld,
  op: Op,
  reference: string,
  waking: Waking,
): Promise<{ sandbox: Sandbox; resumed: boolean }> {
  if (waking.timeoutMs !== undefined) checkTimeout(waking.timeoutMs);
  for (;;) {
    const found = await settled(world, op, reference);
    const kept = found.state === 'paused' ? await resume(world, op, found, waking) : await extend(world, found, waking);
    // Somebody else was quicker: it is looked at once more.
    if (kept) return { sandbox: shownOf(kept), resumed: found.state === 'paused' };
  }
}

/** What has no end is given none. */
async function extend(world: SandboxesWorld, found: Kept, { timeoutMs }: Waking): Promise<Kept | undefined> {
  if (timeoutMs === undefined || !found.endAt) return found;
  const end = after(world.clock.now(), timeoutMs);
  return world.db.transact(async (tx) => {
    const kept = await lockLiving(tx, found);
    if (kept.state !== 'running') return undefined;
    if (!kept.endAt || kept.endAt >= end) return kept;
    const next = { ...kept, endAt: end, timeoutMs };
    await saveSandbox(tx, next);
    return next;
  });
}
