import type { Op } from '../../../kernel/op.ts';
import { after, HOUR, MINUTE, SECOND } from '../../../kernel/time.ts';
import type { Tx } from '../../../platform/db.ts';
import {
  defineJob,
  defineSweep,
  type JobDefinition,
  type JobReference,
  type Jobs,
  type SweepDefinition,
} from '../../../platform/jobs/index.ts';
import { buildNext, type BuildDeps } from './build.ts';
import { anyToBuild, erasable, keptOf, markErased } from './image-store.ts';
import { BUILD_TIMEOUT_MS } from './workshop.ts';

export type ImagesDeps = BuildDeps & { jobs: Pick<Jobs, 'enqueue'> };

const BUILD: JobReference<Record<string, never>> = { name: 'images.build', key: () => 'builder' };
/** Building, with what comes before it at the first time and after it. */
const JOB_TIMEOUT_SECONDS = (2 * BUILD_TIMEOUT_MS) / SECOND;
/** Whoever resolved a name just before its image was removed has started a machine from it by then. */
const ERASED_AFTER_MS = 10 * MINUTE;
/** An upload may take so long until it belongs to an image. */
const UNOWNED_FOR_MS = 6 * HOUR;
const BATCH = 20;

/** Has whoever builds images look at what is to be made, once the transaction is committed. */
export const callBuilder = ({ jobs }: Pick<ImagesDeps, 'jobs'>, tx: Tx): Promise<void> => jobs.enqueue(tx, BUILD, {});

/** Makes one image after the other: what is made takes all of what is put aside for it. */
export const build = (deps: ImagesDeps): JobDefinition<Record<string, never>> =>
  defineJob({
    ...BUILD,
    lasts: 'long',
    concurrency: 1,
    timeoutSeconds: JOB_TIMEOUT_SECONDS,
    async run(op) {
      if (await buildNext(deps, op)) await deps.db.transact((tx) => callBuilder(deps, tx));
    },
  });

/** Has images made that were left behind, and removes the files of those that are no more. */
export const tend = (deps: ImagesDeps): SweepDefinition =>
  defineSweep({
    name: 'images.tend',
    everySeconds: 10,
    async runDue(op) {
      if (await anyToBuild(deps.db, op.now)) await deps.db.transact((tx) => callBuilder(deps, tx));
      return (await eraseEnded(deps, op)) + (await eraseUnowned(deps, op));
    },
  });

/** What cannot be removed now is tried again at the next turn, and keeps nothing else from it. */
async function isErased({ shelf, log }: ImagesDeps, key: string): Promise<boolean> {
  try {
    await shelf.erase(key);
    return true;
  } catch (error) {
    log.error({ image: key, err: error }, 'the files of an image could not be removed yet');
    return false;
  }
}

async function eraseEnded(deps: ImagesDeps, op: Op): Promise<number> {
  let erased = 0;
  for (const { id } of await erasable(deps.db, after(op.now, -ERASED_AFTER_MS), BATCH)) {
    if (!(await isErased(deps, id))) continue;
    await deps.db.transact((tx) => markErased(tx, id, op.now));
    erased++;
  }
  return erased;
}

/** What nobody knows of: a process died before it wrote down whose it is. */
async function eraseUnowned(deps: ImagesDeps, op: Op): Promise<number> {
  const found = await deps.shelf.keys();
  const kept = await keptOf(
    deps.db,
    found.map(({ key }) => key),
  );
  const before = after(op.now, -UNOWNED_FOR_MS);
  let erased = 0;
  for (const { key, changedAt } of found)
    if (!kept.has(key) && changedAt <= before && (await isErased(deps, key))) erased++;
  return erased;
}
