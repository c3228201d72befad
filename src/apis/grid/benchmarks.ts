import { z } from 'zod';
import type { BenchmarkCase, CaseVerdict, Grid, Run, Suite, VerifiedSkill } from '../../domains/grid/index.ts';
import { MINUTE } from '../../kernel/time.ts';
import { ok, route, type Route } from '../contract.ts';
import { nodeRoute } from './auth.ts';
import { naive } from './present.ts';
import { Timestamp, Uuid } from './wire.ts';

const TAG = 'Grid: benchmarks';
const RUN_LIMIT = { name: 'grid-benchmarks', max: 10, windowMs: MINUTE };
const MAX_ID_LENGTH = 100;

const SuiteId = z.string().meta({ examples: ['sentiment_basic'] });
const CheckType = z.enum(['field_match', 'schema_valid', 'consistent_keys']);
const Input = z.record(z.string(), z.unknown());

const Suites = z.object({
  suites: z.array(
    z.object({
      id: SuiteId,
      name: z.string(),
      description: z.string(),
      test_cases: z.int(),
      skill_pattern: z.string().nullable(),
    }),
  ),
});
const SuiteShown = z.object({
  id: SuiteId,
  name: z.string(),
  description: z.string(),
  cases: z.array(
    z.object({
      case_id: z.int(),
      input: Input,
      check_type: CheckType,
      expected_field: z.string().nullable(),
      expected_value: z.string().nullable(),
    }),
  ),
  verified_skills: z
    .array(z.object({ skill_id: Uuid, label: z.string(), seller_id: z.string(), passed_at: Timestamp }))
    .meta({ description: 'Skills that have passed it the last time that they answered it.' }),
});
const RunShown = z.object({
  benchmark_id: z.string().meta({ examples: ['bench_0190000000007000800000000000000a'] }),
  suite: z.string(),
  skill_id: Uuid,
  skill_label: z.string(),
  cases_total: z.int(),
  cases_passed: z.int(),
  status: z.enum(['running', 'passed', 'failed', 'expired']),
  score: z.number().nullable().meta({ description: 'From 0 to 1; null until it is judged.' }),
  results: z.array(
    z.object({
      case_id: z.int(),
      task_id: Uuid,
      task_ids: z.array(Uuid),
      input: Input,
      check_type: CheckType,
      status: z.enum(['pending', 'passed', 'failed', 'missing']),
      note: z.string(),
    }),
  ),
  expires_at: Timestamp,
  created_at: Timestamp,
  ended_at: Timestamp.nullable(),
  note: z.string(),
});

export const benchmarkRoutes = (grid: Grid): Route[] => [...suiteRoutes(grid), runRoute(grid), lookRoute(grid)];

const suiteRoutes = ({ benchmarks }: Grid): Route[] => [
  route({
    method: 'GET',
    path: '/v1/benchmarks',
    tag: TAG,
    summary: 'What skills can be put to the test with',
    access: 'public',
    replies: { 200: { description: 'The suites', schema: Suites } },
    handle: async () =>
      ok({
        suites: benchmarks.suites.map(({ id, name, description, cases, skillPattern }) => ({
          id,
          name,
          description,
          test_cases: cases.length,
          skill_pattern: skillPattern,
        })),
      } satisfies z.input<typeof Suites>),
  }),
  route({
    method: 'GET',
    path: '/v1/benchmarks/:suite_id',
    tag: TAG,
    summary: 'A suite with its questions, and who has passed it',
    access: 'public',
    params: z.object({ suite_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The suite', schema: SuiteShown } },
    handle: async (_op, { params }) => {
      const { suite, verified } = await benchmarks.suite(params.suite_id);
      return ok(presentSuite(suite, verified));
    },
  }),
];

const runRoute = (grid: Grid): Route =>
  nodeRoute(grid, {
    method: 'POST',
    path: '/v1/benchmarks/:suite_id/run',
    tag: TAG,
    summary: 'Put a skill to the test',
    description:
      'Its seller gets every question as a shadow task, which costs nothing, and has an hour to answer. Then it is scored.',
    keyOnly: true,
    nodeLimit: RUN_LIMIT,
    idempotent: true,
    params: z.object({ suite_id: z.string() }),
    query: z.object({ skill_id: z.string().max(MAX_ID_LENGTH) }),
    fails: ['invalid', 'forbidden', 'not_found', 'conflict'],
    replies: { 200: { description: 'It is under way', schema: RunShown } },
    handle: async (op, { params, query }) => {
      const run = await grid.benchmarks.run(op, params.suite_id, query.skill_id);
      return ok(await presentRun(grid, run));
    },
  });

const lookRoute = (grid: Grid): Route =>
  route({
    method: 'GET',
    path: '/v1/benchmarks/runs/:benchmark_id',
    tag: TAG,
    summary: 'How a skill has done',
    access: 'public',
    params: z.object({ benchmark_id: z.string() }),
    fails: ['not_found'],
    replies: { 200: { description: 'The run, case by case', schema: RunShown } },
    handle: async (op, { params }) => ok(await presentRun(grid, await grid.benchmarks.look(op, params.benchmark_id))),
  });

const presentSuite = (
  { id, name, description, cases }: Suite,
  verified: readonly VerifiedSkill[],
): z.input<typeof SuiteShown> => ({
  id,
  name,
  description,
  cases: cases.map((asked, index) => ({
    case_id: index,
    input: asked.input,
    check_type: asked.check,
    expected_field: asked.check === 'field_match' ? asked.field : null,
    expected_value: asked.check === 'field_match' ? asked.expected : null,
  })),
  verified_skills: verified.map(({ skillId, label, sellerId, passedAt }) => ({
    skill_id: skillId,
    label,
    seller_id: sellerId,
    passed_at: naive(passedAt),
  })),
});

async function presentRun({ benchmarks }: Grid, run: Run): Promise<z.input<typeof RunShown>> {
  const { suite } = await benchmarks.suite(run.suite);
  const passed = run.verdicts?.filter(({ result }) => result === 'passed').length ?? 0;
  const isJudged = run.state === 'passed' || run.state === 'failed';
  return {
    benchmark_id: run.id,
    suite: suite.name,
    skill_id: run.skillId,
    skill_label: run.skillLabel,
    cases_total: suite.cases.length,
    cases_passed: passed,
    status: run.state,
    score: isJudged ? passed / suite.cases.length : null,
    results: suite.cases.map((asked, index) => presentResult(run, asked, index)),
    expires_at: naive(run.dueAt),
    created_at: naive(run.createdAt),
    ended_at: run.endedAt ? naive(run.endedAt) : null,
    note: NOTES[run.state],
  };
}

const NOTES = {
  running: 'The questions are with the seller as shadow tasks. Look again with GET /v1/benchmarks/runs/{benchmark_id}.',
  passed: 'Every case was passed.',
  failed: 'Not every case was passed.',
  expired: 'Not every question was answered in time; it counts neither for the skill nor against it.',
} as const satisfies Record<Run['state'], string>;

function presentResult(run: Run, asked: BenchmarkCase, index: number) {
  const ids = run.tasks.filter(({ caseId }) => caseId === index).map(({ taskId }) => taskId);
  const verdict: CaseVerdict = run.verdicts?.[index] ?? { result: 'missing', reason: 'Not answered' };
  const isOpen = run.state === 'running' && verdict.result === 'missing';
  return {
    case_id: index,
    task_id: ids[0] ?? '',
    task_ids: ids,
    input: asked.input,
    check_type: asked.check,
    status: isOpen ? ('pending' as const) : verdict.result,
    note: isOpen ? 'Waits for an answer' : (verdict.reason ?? 'Passed'),
  };
}
