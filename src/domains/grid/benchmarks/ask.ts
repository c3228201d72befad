import { AppError, assert } from '../../../kernel/errors.ts';
import { parseId } from '../../../kernel/ids.ts';
import { newId } from '../../../kernel/op.ts';
import { after } from '../../../kernel/time.ts';
import { recordFacts } from '../../../platform/outbox.ts';
import { createdFact } from '../escrow/facts.ts';
import { sellerFor } from '../escrow/open.ts';
import { findOffer, type Offer } from '../escrow/skill-store.ts';
import { insertTask } from '../escrow/task-store.ts';
import type { GridTask } from '../escrow/task.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { MAX_RUNNING, RUN_TIME, type Run } from './run.ts';
import { countRunning, findRun, insertQuestions, insertRun } from './store.ts';
import { findSuite, timesAsked, type Suite } from './suite.ts';

/**
 * Puts a skill to the test: asks its seller every question of a suite by a shadow task, which costs nothing. Sellers
 * may put their own to the test. Throws `not_found`, `invalid`, `forbidden` (sandbox) or `conflict` (it is under way).
 */
export async function ask({ db }: GridWorld, op: NodeOp, suiteId: string, skillReference: string): Promise<Run> {
  const suite = findSuite(suiteId);
  if (!suite) throw suiteMissing(suiteId);
  const skillId = parseId('listing', skillReference);
  const offer = skillId && (await findOffer(db, skillId));
  if (!offer) throw new AppError('not_found', `Skill not found: ${skillReference}`);
  if (offer.sellerId !== op.node.id) await sellerFor(db, op.node, offer.sellerId);
  if (suite.cases.some(({ check }) => check === 'schema_valid') && offer.metadata['output_schema'] === undefined)
    throw new AppError('invalid', 'This skill declares no output_schema');
  const id = newId(op, 'benchmark');
  await db.transact(async (tx) => {
    if (op.seed && (await findRun(tx, id))) return;
    if ((await countRunning(tx, op.node.id)) >= MAX_RUNNING)
      throw new AppError('conflict', `A node runs ${MAX_RUNNING} benchmarks at once`);
    const dueAt = after(op.now, RUN_TIME);
    const run = { id, suite: suite.id, skillId: offer.id, callerId: op.node.id, dueAt, createdAt: op.now };
    if (!(await insertRun(tx, run))) throw new AppError('conflict', 'This benchmark of this skill is under way');
    const questions = questionsOf(op, suite, offer, dueAt);
    for (const { task } of questions) await insertTask(tx, task, undefined);
    await insertQuestions(
      tx,
      id,
      questions.map(({ caseId, task }) => ({ caseId, taskId: task.id })),
    );
    await recordFacts(
      tx,
      op,
      questions.map(({ task }) => createdFact(task)),
    );
  });
  const made = await findRun(db, id);
  assert(made, 'a run that was made is there');
  return made;
}

export const suiteMissing = (id: string): AppError => new AppError('not_found', `Benchmark suite not found: ${id}`);

const questionsOf = (op: NodeOp, suite: Suite, offer: Offer, dueAt: Date): { caseId: number; task: GridTask }[] =>
  suite.cases.flatMap((asked, caseId) =>
    Array.from({ length: timesAsked(asked) }, (_, time) => ({
      caseId,
      task: {
        id: newId(op, 'gridTask', `question ${caseId} ${time}`),
        skillId: offer.id,
        buyerId: op.node.id,
        sellerId: offer.sellerId,
        escrowId: null,
        input: asked.input,
        output: null,
        proofHash: null,
        proofMatches: null,
        status: 'OPEN' as const,
        shadow: true,
        via: 'grid' as const,
        integration: null,
        callbackUrl: null,
        deadlineAt: dueAt,
        validatorIds: [],
        createdAt: op.now,
        completedAt: null,
      },
    })),
  );
