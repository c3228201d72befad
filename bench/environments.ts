/**
 * How many samples are worked on in a minute, as an evaluation does it: a session opened, ready, one command run in it,
 * its work graded with the hidden tests, closed; over HTTP on loopback with the whole server in a process of its own, at
 * 1, 8 and 32 at once. Beside it the baseline: a copy of the same sample's repository, the same command, and the same
 * hidden tests, run directly on this host by as many processes at once. Both take turns, so that they meet the same
 * weather. `open_to_verdict` is the time of one alone.
 */
import { chmod, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer, type ServerProcess } from '../bin/server-process.ts';
import { STARTER_DIR } from '../src/domains/environments/starter.ts';
import { run as spawned } from '../src/platform/run.ts';
import { solveChallenge } from '../src/cli/solve-challenge.ts';
import type { Row } from './run.ts';

const ROUNDS = 3;
/** How many at once, and how many in a round. */
const LOADS = [
  { atOnce: 1, samples: 4 },
  { atOnce: 8, samples: 16 },
  { atOnce: 32, samples: 32 },
];
const SAMPLE = 'starter__csv-rows-1';
const COMMAND = 'ls -l';
const LOOK_EVERY_MS = 50;
const CENTS = 100_000;
const ADMIN_KEY = 'admin-key-of-the-benchmark';
const CACHE_DIR = process.env['FREEHOLD_CACHE_DIR'] ?? join(homedir(), '.cache', 'freehold');
const MS_PER_MINUTE = 60_000;

type Side = { ours: number[]; raw: number[] };

export async function run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> {
  const rounds = options.rounds ?? ROUNDS;
  const folder = await mkdtemp(join(tmpdir(), 'freehold-bench-environments-'));
  // The tests run as another user, who must be able to come here.
  await chmod(folder, 0o755);
  const server = await startServer({
    FREEHOLD_DATA_DIR: join(folder, 'data'),
    FREEHOLD_CACHE_DIR: CACHE_DIR,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
  });
  try {
    return { rounds, rows: await rowsOf(await accountOf(server), folder, rounds) };
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function rowsOf(call: Call, folder: string, rounds: number): Promise<Row[]> {
  const alone: Side = { ours: [], raw: [] };
  const rates = LOADS.map((load) => ({ ...load, ours: [] as number[], raw: [] as number[] }));
  const ours = () => throughPlatform(call);
  const raw = () => directly(folder);
  // The first ones warm what all others find warm.
  await ours();
  await raw();
  for (let round = 0; round < rounds; round++) {
    alone.ours.push(await timed(ours));
    alone.raw.push(await timed(raw));
    for (const load of rates) {
      load.ours.push(await perMinute(load, ours));
      load.raw.push(await perMinute(load, raw));
    }
  }
  return [
    rowOf('open_to_verdict', 'ms', alone),
    ...rates.map((load) => rowOf(`samples_at_${load.atOnce}`, '1/min', load)),
  ];
}

type Reply = any; // oxlint-disable-line typescript/no-explicit-any -- what the server answers is looked at as a client does
type Call = (method: string, path: string, body?: unknown) => Promise<Reply>;

async function accountOf(server: ServerProcess): Promise<Call> {
  const ask = async (key: string | undefined, method: string, path: string, body?: unknown): Promise<Reply> => {
    const reply = await fetch(server.url + path, {
      method,
      headers: {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer: Reply = await reply.json();
    if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${JSON.stringify(answer)}`);
    return answer;
  };
  const { challenge, token } = await ask(undefined, 'GET', '/v1/auth/challenge');
  const answer = { answer: solveChallenge(challenge), token, name: 'bench' };
  const { account_id, api_key } = await ask(undefined, 'POST', '/v1/auth/register', answer);
  await ask(ADMIN_KEY, 'POST', '/v1/admin/credits', { account_id, amount_cents: CENTS });
  return (method, path, body) => ask(api_key, method, path, body);
}

async function throughPlatform(call: Call): Promise<void> {
  const { session_id } = await call('POST', '/api/v1/sessions', { dataset: 'starter', sample_id: SAMPLE });
  const path = `/api/v1/sessions/${session_id}`;
  const session = await until(call, path, ({ status }) => status !== 'creating');
  if (session.status !== 'ready') throw new Error(`The session is ${session.status}: ${session.error?.message}`);
  const { interaction_id } = await call('POST', `${path}/exec`, { command: COMMAND });
  const command = await until(call, `${path}/interactions/${interaction_id}`, ({ exit_code }) => exit_code !== null);
  if (command.exit_code !== 0) throw new Error(`The command ended with ${command.exit_code}`);
  const { job_id } = await call('POST', `${path}/verify`);
  const job = await until(
    call,
    `${path}/verify/${job_id}`,
    ({ status }) => status === 'completed' || status === 'error',
  );
  if (!(job.result?.total > 0)) throw new Error(`The work was not graded: ${job.error?.message}`);
  await call('DELETE', path);
}

async function until(call: Call, path: string, done: (reply: Reply) => boolean): Promise<Reply> {
  for (;;) {
    const reply = await call('GET', path);
    if (done(reply)) return reply;
    await sleep(LOOK_EVERY_MS);
  }
}

/** The same work with nothing around it: no machine, no isolation, no record. */
async function directly(folder: string): Promise<void> {
  const dir = await mkdtemp(join(folder, 'raw-'));
  await chmod(dir, 0o755);
  const [source, work, tests, logs] = [
    join(STARTER_DIR, 'samples', SAMPLE),
    join(dir, 'w'),
    join(dir, 't'),
    join(dir, 'l'),
  ];
  await cp(join(source, 'environment', 'repo'), work, { recursive: true });
  await cp(join(source, 'tests'), tests, { recursive: true });
  await cp(join(STARTER_DIR, 'harness'), tests, { recursive: true });
  await spawned(['bash', '-c', COMMAND], { cwd: work });
  const env = { PATH: process.env['PATH'] ?? '', LAB_LOGS: logs, LAB_USER: 'nobody' };
  await spawned(['bash', join(tests, 'test.sh')], { cwd: work, env });
  const reports = (await readdir(logs)).filter((name) => name.endsWith('.xml'));
  if (reports.length === 0) throw new Error('The tests left no report');
  await rm(dir, { recursive: true, force: true });
}

/** So many samples a minute, when so many are worked on at once. */
async function perMinute(load: { atOnce: number; samples: number }, work: () => Promise<void>): Promise<number> {
  let left = load.samples;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  const ms = await timed(() => Promise.all(Array.from({ length: load.atOnce }, worker)));
  return (load.samples * MS_PER_MINUTE) / ms;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

const medianOf = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.ceil(values.length / 2) - 1] ?? 0;

function rowOf(measure: string, unit: string, { ours, raw }: Side): Row {
  const [median, baseline] = [medianOf(ours), medianOf(raw)];
  return { measure, unit, median, min: Math.min(...ours), max: Math.max(...ours), baseline, ratio: median / baseline };
}
