import { costOf, countOf } from './progress.ts';
import type { AgentEnd, Attempt, Grade, Outcome, Plan, SampleRecord } from './record.ts';

export type ReportedSample = {
  sample_id: string;
  language: string;
  outcome: Outcome;
  attempts: number;
  session_id: string | null;
  /** Of the last attempt. */
  agent_seconds: number | null;
  agent_exit_code: number | null;
  timed_out: boolean;
  tests: Grade | null;
  failure: string | null;
  /** Of all sessions that were opened for it. */
  session_seconds: number;
  cost_microcents: number;
};

/** What `report.json` holds. Microcents are ten-thousandths of a cent. */
export type Report = {
  run_id: string;
  server: string;
  dataset: string;
  agent: string;
  in_session: boolean;
  timeout_seconds: number;
  started_at: string;
  reported_at: string;
  totals: {
    samples: number;
    solved: number;
    unsolved: number;
    errors: number;
    waiting: number;
    /** Of all samples of the run. */
    solve_rate: number;
    cost_microcents: number;
    session_seconds: number;
    agent_seconds: { median: number; longest: number; sum: number };
  };
  samples: ReportedSample[];
};

export function reportOf(plan: Plan, records: readonly SampleRecord[], now: Date): Report {
  const samples = records.map((record) => sampleOf(plan, record));
  const sum = (of: (sample: ReportedSample) => number): number => samples.reduce((total, one) => total + of(one), 0);
  const seconds = samples.flatMap(({ agent_seconds }) => agent_seconds ?? []).toSorted((a, b) => a - b);
  const solved = countOf(records, 'solved');
  return {
    run_id: plan.run_id,
    server: plan.server,
    dataset: plan.dataset,
    agent: plan.agent,
    in_session: plan.in_session,
    timeout_seconds: plan.timeout_seconds,
    started_at: plan.started_at,
    reported_at: now.toISOString(),
    totals: {
      samples: samples.length,
      solved,
      unsolved: countOf(records, 'unsolved'),
      errors: countOf(records, 'error'),
      waiting: countOf(records, 'waiting'),
      solve_rate: samples.length === 0 ? 0 : solved / samples.length,
      cost_microcents: sum(({ cost_microcents }) => cost_microcents),
      session_seconds: sum(({ session_seconds }) => session_seconds),
      agent_seconds: {
        median: seconds[Math.ceil(seconds.length / 2) - 1] ?? 0,
        longest: seconds.at(-1) ?? 0,
        sum: seconds.reduce((total, one) => total + one, 0),
      },
    },
    samples,
  };
}

function sampleOf(plan: Plan, record: SampleRecord): ReportedSample {
  const last = record.attempts.at(-1);
  return {
    sample_id: record.sample_id,
    language: plan.samples.find(({ sample_id }) => sample_id === record.sample_id)?.language ?? '',
    outcome: record.outcome,
    attempts: record.attempts.length,
    ...lastOf(last),
    session_seconds: record.attempts.reduce((total, { session_seconds }) => total + session_seconds, 0),
    cost_microcents: costOf(record),
  };
}

type Last = Omit<
  ReportedSample,
  'sample_id' | 'language' | 'outcome' | 'attempts' | 'session_seconds' | 'cost_microcents'
>;

const lastOf = (last: Attempt | undefined): Last => ({
  session_id: last?.session_id ?? null,
  tests: last?.grade ?? null,
  failure: last?.failure ?? null,
  ...agentOf(last?.agent ?? null),
});

const agentOf = (agent: AgentEnd | null): Pick<Last, 'agent_seconds' | 'agent_exit_code' | 'timed_out'> =>
  agent
    ? { agent_seconds: agent.seconds, agent_exit_code: agent.exit_code, timed_out: agent.timed_out }
    : { agent_seconds: null, agent_exit_code: null, timed_out: false };
