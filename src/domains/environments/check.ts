import { AppError, isAppError } from '../../kernel/errors.ts';
import type { AccountId, MachineId } from '../../kernel/ids.ts';
import { newId, type Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import { tarOf } from './archive.ts';
import { findDataset, findSample, writeCheck, writeImage } from './dataset-store.ts';
import { grade, type Work } from './grade.ts';
import { AGENT, asRoot, placeTree } from './lay-out.ts';
import { imageOf } from './sample-image.ts';
import type { Sample, SampleId } from './sample.ts';
import { archiveOf, readTree } from './tree.ts';
import type { GradingResult } from './verification.ts';
import type { EnvironmentsWorld } from './world.ts';

/** Machines that check samples are nobody's but the platform's. */
const PLATFORM = '00000000-0000-0000-0000-000000000000' as AccountId;
const SOLUTION = '/solution';
const MAX_TOLD_CHARACTERS = 500;

export type CheckResult = { gold: GradingResult | undefined; nothing: GradingResult };

/** Runs what a sample says is its solution, which must pass, and nothing, which must not. */
export async function checkSample(world: EnvironmentsWorld, op: Op, id: SampleId): Promise<void> {
  const sample = await findSample(world.db, id);
  if (sample?.state !== 'unchecked') return;
  const verdict = await imagedVerdict(world, op, sample);
  const now = world.clock.now();
  await world.db.transact((tx) => writeCheck(tx, id, now, verdict));
}

type Verdict = Parameters<typeof writeCheck>[3];

/** A sample whose image cannot be had is kept and marked; it says nothing against the sample. */
async function imagedVerdict(world: EnvironmentsWorld, op: Op, sample: Sample): Promise<Verdict> {
  const found = await imageOf(world, op, sample);
  if ('problem' in found) return { state: 'not_runnable', reason: found.problem.slice(0, MAX_TOLD_CHARACTERS) };
  if (sample.recipe.image === undefined) await world.db.transact((tx) => writeImage(tx, sample.id, found.image));
  return verdictOn(world, op, { ...sample, recipe: { ...sample.recipe, image: found.image } });
}

async function verdictOn(world: EnvironmentsWorld, op: Op, sample: Sample): Promise<Verdict> {
  const rejected = (reason: string): Verdict => ({ state: 'rejected', reason: reason.slice(0, MAX_TOLD_CHARACTERS) });
  try {
    const { gold, nothing } = await runBoth(world, op, sample);
    if (nothing.isSuccess) return rejected('It is solved with nothing done');
    if (!gold) return rejected('It has no solution that could be run');
    if (gold.timedOut) return rejected('The check of its solution did not end in time');
    return gold.isSuccess ? { state: 'offered' } : rejected(`Its solution does not pass: ${gold.failures.join(', ')}`);
  } catch (error) {
    if (op.signal.aborted || !isAppError(error) || error.code === 'at_capacity') throw error;
    return rejected(error.message);
  }
}

/** Both gradings, one after the other, each in a machine of its own. */
export async function runBoth(world: EnvironmentsWorld, op: Op, sample: Sample): Promise<CheckResult> {
  const nothing = await gradeAs(world, op, sample, undefined);
  const hasSolution = sample.recipe.solve !== undefined && sample.trees.solution !== undefined;
  return { nothing, gold: hasSolution ? await gradeAs(world, op, sample, solve(world, sample)) : undefined };
}

async function gradeAs(
  world: EnvironmentsWorld,
  op: Op,
  sample: Sample,
  before: ((op: Op, machineId: MachineId) => Promise<void>) | undefined,
): Promise<GradingResult> {
  const grading = (await findDataset(world.db, sample.dataset))?.grading ?? 'strict';
  const machineId = newId(op, 'machine');
  const request = { sample, grading, machineId, accountId: PLATFORM, work: untouched(world, sample), before };
  return (await grade(world, op, request)).result;
}

/** The workspace as it was brought; of a sample without one, its image as it is. */
function untouched({ blobs }: EnvironmentsWorld, { trees }: Sample): Work {
  const { workspace } = trees;
  if (workspace === undefined) return { kind: 'image' };
  return { kind: 'archive', content: async () => tarOf(archiveOf(blobs, await readTree(blobs, workspace))) };
}

/** Does what the solution says, as the agent would, and takes it away again. */
const solve =
  (world: EnvironmentsWorld, { recipe, trees }: Sample) =>
  async (op: Op, machineId: MachineId): Promise<void> => {
    await placeTree(world, op, machineId, trees.solution ?? '', SOLUTION);
    const outcome = await world.machines.exec(op, machineId, {
      command: recipe.solve ?? '',
      cwd: recipe.workdir,
      user: AGENT,
      timeoutMs: recipe.timeoutSeconds * SECOND,
    });
    if (outcome.kind !== 'exited' || outcome.exitCode !== 0) {
      const said = outcome.stderr.toString().trim().split('\n').at(-1) ?? '';
      throw new AppError(
        'conflict',
        `Its solution could not be carried out: ${said.toWellFormed().replaceAll('\0', '')}`,
      );
    }
    await asRoot(world, op, machineId, 'rm -rf -- "$1"', [SOLUTION]);
  };
