import type { BenchmarkId, GridTaskId, ListingId, NodeId } from '../../../kernel/ids.ts';
import type { Db, Tx } from '../../../platform/db.ts';
import type { Run, RunState } from './run.ts';
import type { CaseVerdict } from './verdict.ts';

type RunRow = {
  id: BenchmarkId;
  suite: string;
  skill_id: ListingId;
  skill_label: string;
  caller_id: NodeId;
  state: RunState;
  verdicts: CaseVerdict[] | null;
  tasks: Run['tasks'];
  due_at: Date;
  created_at: Date;
  ended_at: Date | null;
};

const RUN = `select r.id, r.suite, r.skill_id, s.label as skill_label, r.caller_id, r.state, r.verdicts, r.due_at, r.created_at,
       r.ended_at, (select jsonb_agg(jsonb_build_object('caseId', t.case_id, 'taskId', t.task_id) order by t.number)
                      from grid_benchmark_tasks t where t.run_id = r.id) as tasks
  from grid_benchmark_runs r join grid_skills s on s.id = r.skill_id`;

const runOf = (row: RunRow): Run => ({
  id: row.id,
  suite: row.suite,
  skillId: row.skill_id,
  skillLabel: row.skill_label,
  callerId: row.caller_id,
  state: row.state,
  verdicts: row.verdicts ?? undefined,
  tasks: row.tasks,
  dueAt: row.due_at,
  createdAt: row.created_at,
  endedAt: row.ended_at ?? undefined,
});

export type NewRun = Pick<Run, 'id' | 'suite' | 'skillId' | 'callerId' | 'dueAt' | 'createdAt'>;

/** False where the caller has this suite run on this skill already, or the same request has made it. */
export async function insertRun(tx: Tx, { id, suite, skillId, callerId, dueAt, createdAt }: NewRun): Promise<boolean> {
  const rows = await tx.query(
    `insert into grid_benchmark_runs (id, suite, skill_id, caller_id, due_at, created_at)
     values ($1, $2, $3, $4, $5, $6)
     on conflict do nothing
     returning 1`,
    [id, suite, skillId, callerId, dueAt, createdAt],
  );
  return rows.length > 0;
}

export async function insertQuestions(tx: Tx, id: BenchmarkId, tasks: Run['tasks']): Promise<void> {
  await tx.query(
    `insert into grid_benchmark_tasks (run_id, number, case_id, task_id)
     select $1, number, case_id, task_id
       from unnest($2::int[], $3::uuid[]) with ordinality as asked (case_id, task_id, number)`,
    [id, tasks.map(({ caseId }) => caseId), tasks.map(({ taskId }) => taskId)],
  );
}

/** How many runs of a node go on. Holds the node's row, so that of two at once the second counts the first. */
export async function countRunning(tx: Tx, caller: NodeId): Promise<number> {
  await tx.query(`select from grid_nodes where id = $1 for no key update`, [caller]);
  const [row] = await tx.query<{ running: bigint }>(
    `select count(*) as running from grid_benchmark_runs where caller_id = $1 and state = 'running'`,
    [caller],
  );
  return Number(row?.running ?? 0n);
}

export async function findRun(db: Db, id: BenchmarkId): Promise<Run | undefined> {
  const [row] = await db.query<RunRow>(`${RUN} where r.id = $1`, [id]);
  return row && runOf(row);
}

/** Runs that may be over: all their questions are answered, or their time is. */
export async function runsToJudge(db: Db, now: Date, limit: number): Promise<BenchmarkId[]> {
  const rows = await db.query<{ id: BenchmarkId }>(
    `select r.id from grid_benchmark_runs r
      where r.state = 'running'
        and (r.due_at <= $1
             or not exists (select from grid_benchmark_tasks b join grid_tasks t on t.id = b.task_id
                             where b.run_id = r.id and t.output is null))
      order by r.due_at, r.seq
      limit $2`,
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

export type Answered = { taskId: GridTaskId; output: Record<string, unknown> };

/** What has been answered so far. */
export const answersOf = async (db: Db, id: BenchmarkId): Promise<Answered[]> =>
  db.query<Answered>(
    `select t.id as "taskId", t.output
       from grid_benchmark_tasks b join grid_tasks t on t.id = b.task_id
      where b.run_id = $1 and t.output is not null`,
    [id],
  );

/** What the skill of a run declares of its outputs. */
export async function schemaOf(db: Db, skillId: ListingId): Promise<unknown> {
  const [row] = await db.query<{ schema: unknown }>(
    `select metadata -> 'output_schema' as schema from grid_skills where id = $1`,
    [skillId],
  );
  return row?.schema ?? undefined;
}

/** Ends a run, and the questions that nobody answered. False where it was over already. */
export async function endRun(
  tx: Tx,
  id: BenchmarkId,
  state: Exclude<RunState, 'running'>,
  verdicts: readonly CaseVerdict[],
  now: Date,
): Promise<boolean> {
  const ended = await tx.query(
    `update grid_benchmark_runs set state = $2, verdicts = $3, ended_at = $4
      where id = $1 and state = 'running' returning 1`,
    [id, state, JSON.stringify(verdicts), now],
  );
  if (ended.length === 0) return false;
  await tx.query(
    `update grid_tasks set status = 'REFUNDED'
      where status in ('OPEN', 'IN_PROGRESS') and id in (select task_id from grid_benchmark_tasks where run_id = $1)`,
    [id],
  );
  return true;
}

export type VerifiedSkill = { skillId: ListingId; label: string; sellerId: NodeId; passedAt: Date };

/** Of one suite, those that were answered. */
const JUDGED = `suite = $1 and state in ('passed', 'failed')`;

/**
 * Skills whose last run that was answered has passed, the newest first. Runs cost nothing, so there may be very many: from
 * each skill the index leads to the next, and to the last run of each.
 */
export const verifiedSkills = (db: Db, suite: string, limit: number): Promise<VerifiedSkill[]> =>
  db.query<VerifiedSkill>(
    `with recursive tested as (
       (select skill_id from grid_benchmark_runs where ${JUDGED} order by skill_id limit 1)
       union all
       select (select skill_id from grid_benchmark_runs where ${JUDGED} and skill_id > tested.skill_id order by skill_id limit 1)
         from tested where tested.skill_id is not null)
     select s.id as "skillId", s.label, s.node_id as "sellerId", last.ended_at as "passedAt"
       from tested
       join grid_skills s on s.id = tested.skill_id
       join grid_nodes n on n.id = s.node_id
       cross join lateral (select state, ended_at from grid_benchmark_runs
                            where ${JUDGED} and skill_id = s.id order by seq desc limit 1) last
      where last.state = 'passed' and n.active and not n.sandbox
      order by last.ended_at desc, s.seq
      limit $2`,
    [suite, limit],
  );
