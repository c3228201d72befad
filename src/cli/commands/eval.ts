import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Arguments } from '../arguments.ts';
import type { Command, Session } from '../command.ts';
import { PROBLEM, type Run } from '../eval/attempt.ts';
import { pageOf } from '../eval/page.ts';
import { barOf } from '../eval/progress.ts';
import { openFolder, pretty, type Folder, type Plan, type SampleRecord } from '../eval/record.ts';
import { openRemote, type Remote } from '../eval/remote.ts';
import { reportOf, type Report } from '../eval/report.ts';
import { runAll } from '../eval/run.ts';
import { Failure, WrongUsage } from '../failure.ts';

const DEFAULT_CONCURRENCY = 4;
const MAX_CONCURRENCY = 64;
const DEFAULT_TIMEOUT_SECONDS = 1_800;
const MAX_TIMEOUT_SECONDS = 20 * 60 * 60;
/** What a shell makes of a program that an interrupt ended. */
const EXIT_INTERRUPTED = 130;
const EXECUTABLE = 0o755;
const FREEHOLD = join(import.meta.dirname, '../../../bin/freehold');

export const evaluate: Command = {
  name: 'eval',
  summary: 'Have an agent work on the samples of a dataset, grade its work, and write a report',
  about: `For each sample a session is opened, CMD is run here by sh, the work is graded, and the session is closed. CMD finds
FREEHOLD_PROBLEM_FILE, FREEHOLD_SAMPLE_ID, FREEHOLD_DATASET, FREEHOLD_SESSION_ID, FREEHOLD_URL and FREEHOLD_API_KEY in its
environment (CODESET_BASE_URL and CODESET_API_KEY too), and the command \`in-session\`, which runs a command in the
sample's repository: \`in-session 'ls'\`, or \`in-session -\` for a script on standard input. What it prints goes to agent.log.
The folder has report.json and report.html when it ends. After an interrupt the same command goes on where it was; samples
with a verdict are not done again, those that met an error are. Ends with 0 where every sample has a verdict, with 130 after
an interrupt, else with 1.`,
  options: {
    dataset: { kind: 'text', value: 'NAME', says: 'One of `freehold datasets list`' },
    agent: { kind: 'text', value: 'CMD', says: 'The command that works on one sample' },
    concurrency: {
      kind: 'text',
      value: 'N',
      says: `Samples at the same time, up to ${MAX_CONCURRENCY} (${DEFAULT_CONCURRENCY})`,
    },
    timeout: {
      kind: 'text',
      value: 'SECONDS',
      says: `How long CMD may take for a sample (${DEFAULT_TIMEOUT_SECONDS})`,
    },
    sample: { kind: 'list', value: 'ID', says: 'Only this sample; again for more' },
    limit: { kind: 'text', value: 'N', says: 'Only so many samples' },
    out: { kind: 'text', value: 'DIR', says: 'The folder of the run (eval-NAME)' },
    'in-session': { kind: 'flag', says: 'Run CMD inside the session instead of here' },
  },
  async run(session, given) {
    const wanted = wantedOf(session, given);
    const folder = await openFolder(resolve(given.text('out') ?? `eval-${wanted.dataset}`));
    try {
      await evaluateIn(session, folder, wanted);
    } finally {
      await folder.leave();
    }
  },
};

type Wanted = Pick<Plan, 'server' | 'dataset' | 'agent' | 'in_session' | 'timeout_seconds'> & {
  concurrency: number;
  only: string[];
  limit: number | undefined;
};

function wantedOf({ settings }: Session, given: Arguments): Wanted {
  const concurrency = given.count('concurrency') ?? DEFAULT_CONCURRENCY;
  const timeout = given.count('timeout') ?? DEFAULT_TIMEOUT_SECONDS;
  if (concurrency > MAX_CONCURRENCY) throw new WrongUsage(`--concurrency must be at most ${MAX_CONCURRENCY}.`);
  if (timeout > MAX_TIMEOUT_SECONDS) throw new WrongUsage(`--timeout must be at most ${MAX_TIMEOUT_SECONDS}.`);
  return {
    server: settings.url,
    dataset: given.required('dataset'),
    agent: given.required('agent'),
    in_session: given.flag('in-session') ?? false,
    timeout_seconds: timeout,
    concurrency,
    only: given.list('sample'),
    limit: given.count('limit'),
  };
}

async function evaluateIn(session: Session, folder: Folder, wanted: Wanted): Promise<void> {
  const remote = openRemote(await session.account());
  const known = await folder.readPlan();
  if (known) expectSame(known, wanted, folder.dir);
  const plan = known ?? (await makePlan(session, remote, folder, wanted));
  await folder.write('bin/in-session', HELPER, EXECUTABLE);
  const records = await Promise.all(plan.samples.map(({ sample_id }) => folder.record(sample_id)));
  const signal = session.terminal.interrupted();
  const run: Run = { session, remote, plan, folder, key: (await session.key()).value, signal };
  try {
    await runAll(run, records, wanted.concurrency);
  } finally {
    const report = await writeReport(session, folder, plan, records);
    tell(session, folder, records, report);
  }
  if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
  else if (records.some(({ outcome }) => outcome === 'error' || outcome === 'waiting'))
    throw new Failure('Some samples have no verdict; the same command tries them once more.');
}

function expectSame(plan: Plan, wanted: Wanted, dir: string): void {
  const differs = (['server', 'dataset', 'agent', 'in_session', 'timeout_seconds'] as const).find(
    (name) => plan[name] !== wanted[name],
  );
  if (differs)
    throw new Failure(
      `${dir} holds a run with another ${differs} (${JSON.stringify(plan[differs])}): name another folder with --out.`,
    );
}

async function makePlan(session: Session, remote: Remote, folder: Folder, wanted: Wanted): Promise<Plan> {
  const { server, dataset, agent, in_session, timeout_seconds, only, limit } = wanted;
  const all = (await remote.samples(dataset)).filter(({ runnable }) => runnable);
  const missing = only.find((id) => !all.some(({ sample_id }) => sample_id === id));
  if (missing !== undefined) throw new Failure(`${dataset} has no sample ${missing} that can be run.`);
  const samples = all.filter(({ sample_id }) => only.length === 0 || only.includes(sample_id)).slice(0, limit);
  if (samples.length === 0)
    throw new Failure(`${dataset} has no samples that can be run: see \`freehold datasets list\`.`);
  for (const sample of samples) {
    await folder.write(join('samples', sample.sample_id, PROBLEM), sample.problem_statement);
    await folder.write(join('samples', sample.sample_id, 'sample.json'), pretty(sample));
  }
  const plan: Plan = {
    run_id: randomUUID(),
    server,
    dataset,
    agent,
    in_session,
    timeout_seconds,
    started_at: session.now().toISOString(),
    samples: samples.map(({ sample_id, version, language }) => ({ sample_id, version, language })),
  };
  await folder.writePlan(plan);
  return plan;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
/** The options stand first, so that a command may begin with a dash. */
const HELPER = `#!/bin/sh
exec ${quoted(process.execPath)} ${quoted(FREEHOLD)} session exec -- "$FREEHOLD_SESSION_ID" "$@"
`;

async function writeReport(session: Session, folder: Folder, plan: Plan, records: SampleRecord[]): Promise<Report> {
  const report = reportOf(plan, records, session.now());
  await folder.write('report.json', pretty(report));
  await folder.write('report.html', pageOf(report));
  return report;
}

function tell({ terminal, output }: Session, folder: Folder, records: SampleRecord[], report: Report): void {
  terminal.say(barOf(records, report.totals.session_seconds));
  if (output === 'json') terminal.print(JSON.stringify(report));
  else terminal.print(join(folder.dir, 'report.html'));
}
