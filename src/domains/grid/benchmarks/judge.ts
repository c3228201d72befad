import { AppError, assert } from '../../../kernel/errors.ts';
import { parseId, type BenchmarkId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { recordFact } from '../../../platform/outbox.ts';
import type { Court } from '../escrow/court.ts';
import type { GridWorld } from '../world.ts';
import { outcomeOf, type Run } from './run.ts';
import { answersOf, endRun, findRun, runsToJudge, schemaOf } from './store.ts';
import { findSuite } from './suite.ts';
import { judgeCase, type CaseVerdict } from './verdict.ts';

/** Runs that one run of the sweep judges. */
const BATCH = 50;

export type Judging = Pick<GridWorld, 'db' | 'log'> & { court: Pick<Court, 'hear'> };

/** A run with what its cases have come to so far; it is ended here where it is over. Throws `not_found`. */
export async function look(world: Judging, op: Op, reference: string): Promise<Run & { verdicts: CaseVerdict[] }> {
  const id = parseId('benchmark', reference);
  const run = id && (await findRun(world.db, id));
  if (!run) throw new AppError('not_found', 'Benchmark run not found');
  return judgeRun(world, op, run);
}

/** Ends the runs that are over. Answers how many. */
export async function judgeDue(world: Judging, op: Op): Promise<number> {
  let ended = 0;
  for (const id of await runsToJudge(world.db, op.now, BATCH)) if (await judgeOne(world, op, id)) ended++;
  return ended;
}

async function judgeOne(world: Judging, op: Op, id: BenchmarkId): Promise<boolean> {
  const run = await findRun(world.db, id);
  return run?.state === 'running' && (await judgeRun(world, op, run)).state !== 'running';
}

async function judgeRun(world: Judging, op: Op, run: Run): Promise<Run & { verdicts: CaseVerdict[] }> {
  if (run.verdicts) return { ...run, verdicts: run.verdicts };
  const verdicts = await verdictsOf(world, run);
  const state = outcomeOf(verdicts, run.dueAt <= op.now);
  if (!state) return { ...run, verdicts };
  const ended = await world.db.transact(async (tx) => {
    if (!(await endRun(tx, run.id, state, verdicts, op.now))) return false;
    const passed = verdicts.filter(({ result }) => result === 'passed').length;
    const data = { nodes: [run.callerId], suite: run.suite, skill_id: run.skillId, passed, cases: verdicts.length };
    await recordFact(tx, op, { type: `benchmark.${state}`, subject: run.id, data });
    return true;
  });
  if (ended) return { ...run, state, verdicts, endedAt: op.now };
  const other = await findRun(world.db, run.id);
  assert(other?.verdicts, 'a run that has ended was judged');
  return { ...other, verdicts: other.verdicts };
}

async function verdictsOf({ db, court }: Judging, run: Run): Promise<CaseVerdict[]> {
  const suite = findSuite(run.suite);
  assert(suite, 'a run is of a suite');
  const [answers, schema] = await Promise.all([answersOf(db, run.id), schemaOf(db, run.skillId)]);
  const outputs = new Map(answers.map(({ taskId, output }) => [taskId, output]));
  return Promise.all(
    suite.cases.map((asked, index) => {
      const given = run.tasks.filter(({ caseId }) => caseId === index).map(({ taskId }) => outputs.get(taskId));
      return judgeCase(court, asked, given, schema);
    }),
  );
}
