import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Report } from '../../src/cli/eval/report.ts';
import { REPOSITORY } from '../../bin/checks.ts';
import { must } from '../../src/platform/run.ts';
import { STARTER_DIR } from '../../src/domains/environments/starter.ts';
import { temporaryFolder } from '../environments/datasets-world.ts';
import { eventually, request, type Agent } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { openBrowser, watchedPage } from '../web/browser.ts';
import { start, type Running } from './freehold.ts';

const SAMPLES = ['starter__csv-rows-1', 'starter__free-slots-2', 'starter__once-memo-3', 'starter__rotate-12'];
/** Those that the agent of these tests knows the solution of. */
const KNOWN = SAMPLES.slice(0, 2);
const MICROS_PER_CENT = 10_000;

let server: TestServer;
beforeAll(async () => {
  await prepareTestHost();
  server = await testServer();
}, 900_000);
afterAll(async () => {
  const machines = async () => (await request(server.url, 'GET', '/v1/admin/machines', { key: server.adminKey })).body;
  await eventually(machines, (body) => body.machines.length === 0);
  await server.stop();
});

/** Applies the gold patch where it knows it, after `first`. */
const solver = (first = 'true'): string => `
set -e
grep -q . "$FREEHOLD_PROBLEM_FILE"
${first}
case " ${KNOWN.join(' ')} " in *" $FREEHOLD_SAMPLE_ID "*)
  { echo "git apply <<'PATCH'"; cat "${STARTER_DIR}/samples/$FREEHOLD_SAMPLE_ID/solution/gold.patch"; echo PATCH; } | in-session -
esac
in-session 'ls | head -1; exit 3' || test $? = 3`;

type Setting = { agent: Agent; dir: string };
async function setting(cents = 500): Promise<Setting> {
  return { agent: await server.agent(cents), dir: join(await temporaryFolder(), 'run') };
}

function evaluate({ agent, dir }: Setting, command: string, more: string[] = [], samples = SAMPLES): Running {
  const chosen = samples.flatMap((id) => ['--sample', id]);
  const args = ['eval', '--dataset', 'starter', '--agent', command, '--out', dir, ...chosen, ...more];
  const running = start(args, { FREEHOLD_URL: server.url, FREEHOLD_API_KEY: agent.key, HOME: '/nonexistent' });
  onTestFinished(() => void running.child.kill('SIGKILL'));
  return running;
}

const reportIn = async (dir: string): Promise<Report> => JSON.parse(await readFile(join(dir, 'report.json'), 'utf8'));

/** What the ledger has taken from an account for sessions, in micro-dollars. */
async function paidBy({ accountId }: Agent): Promise<number> {
  const [row] = await server.db.query<{ paid: string }>(
    `select (-coalesce(sum(e.posted_delta), 0))::text as paid
       from ledger_entries e join ledger_transfers t on t.id = e.transfer_id join ledger_accounts a on a.id = e.account_id
      where a.code like '%:' || $1 || ':USD' and t.type like 'session_%'`,
    [accountId],
  );
  return Number(row?.paid);
}

type Kept = { requested_at: Date; ended_at: Date | null; state: string };
const sessionsOf = ({ accountId }: Agent): Promise<Kept[]> =>
  server.db.query<Kept>('select requested_at, ended_at, state from env_sessions where account_id = $1', [accountId]);

/** How many of some sessions were there at the same time at the most. */
const mostAtOnce = (sessions: Kept[]): number =>
  Math.max(
    ...sessions.map(
      (one) =>
        sessions.filter(
          (other) =>
            other.requested_at <= one.requested_at && (other.ended_at === null || other.ended_at > one.requested_at),
        ).length,
    ),
  );

describe('an evaluation', () => {
  test('solves what its agent solves, within its concurrency, and its report agrees with the ledger', async () => {
    const given = await setting();
    const { code, out, err } = await evaluate(given, solver(), ['--concurrency', '2']).ended;
    expect({ code, out, err }).toEqual({ code: 0, out: `${given.dir}/report.html\n`, err: expect.any(String) });
    expect(err.split('\n').filter((line) => /^\d\/4 {2}(solved|unsolved) /.test(line))).toHaveLength(4);
    expect(err).not.toContain('\r');
    const { totals, samples } = await reportIn(given.dir);
    expect(Object.fromEntries(samples.map((one) => [one.sample_id, [one.outcome, one.attempts]]))).toEqual(
      Object.fromEntries(SAMPLES.map((id) => [id, [KNOWN.includes(id) ? 'solved' : 'unsolved', 1]])),
    );
    expect(totals).toMatchObject({ samples: 4, solved: 2, unsolved: 2, errors: 0, waiting: 0, solve_rate: 0.5 });
    expect(totals.cost_microcents).toBeGreaterThan(0);
    expect(totals.cost_microcents).toBe(await paidBy(given.agent));
    const { balance } = (await request(server.url, 'GET', '/billing/balance', { key: given.agent.key })).body;
    expect(balance).toBe(Math.floor((500 * MICROS_PER_CENT - totals.cost_microcents) / MICROS_PER_CENT));
    const sessions = await sessionsOf(given.agent);
    expect(sessions.map(({ state }) => state)).toEqual(Array(4).fill('closed'));
    expect(mostAtOnce(sessions)).toBeLessThanOrEqual(2);
    const again = await evaluate(given, solver(), ['--concurrency', '2', '--json']).ended;
    expect(JSON.parse(again.out)).toMatchObject({ totals });
    expect(await sessionsOf(given.agent)).toHaveLength(4);
    await looksRight(given.dir);
  }, 170_000);

  test('that is interrupted closes what is open, and goes on where it was', async () => {
    const given = await setting();
    // The first agent of all is at work until it is ended; all later ones find the file that it has left.
    const command = solver(`[ -e ${given.dir}/begun ] || { touch ${given.dir}/begun; sleep 1000; }`);
    const first = evaluate(given, command, ['--concurrency', '1'], KNOWN);
    await eventually(() => exists(join(given.dir, 'begun')), Boolean);
    first.child.kill('SIGINT');
    expect(await first.ended).toMatchObject({ code: 130 });
    expect((await sessionsOf(given.agent)).map(({ state }) => state)).toEqual(['closed']);
    expect((await reportIn(given.dir)).totals).toMatchObject({ waiting: 2, solved: 0 });
    const other = await evaluate(given, 'true', [], KNOWN).ended;
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('holds a run with another agent')]);
    expect(await evaluate(given, command, ['--concurrency', '1'], KNOWN).ended).toMatchObject({ code: 0 });
    await expectAllSolved(given, [2, 1]);
  }, 170_000);

  test('that is killed leaves no agent at work, joins what can be joined, and pays nothing twice', async () => {
    const given = await setting();
    const command = solver(
      `[ -e ${given.dir}/begun ] || { touch ${given.dir}/begun; echo $$ > ${given.dir}/pid; sleep 1000; }`,
    );
    const first = evaluate(given, command, ['--concurrency', '1'], KNOWN);
    await eventually(() => exists(join(given.dir, 'pid')), Boolean);
    const busy = evaluate(given, command, [], KNOWN).ended;
    expect((await busy).err).toMatch(/Process \d+ works in/);
    first.child.kill('SIGKILL');
    const pid = Number(await readFile(join(given.dir, 'pid'), 'utf8'));
    await eventually(
      () => isAtWork(pid),
      (there) => !there,
    );
    expect((await sessionsOf(given.agent)).map(({ state }) => state)).toEqual(['ready']);
    const second = evaluate(given, command, ['--concurrency', '1'], KNOWN);
    // Killed once more where the work is done and its grading is under way: that one is joined.
    const record = async () => readFile(join(given.dir, 'samples', KNOWN[0] ?? '', 'record.json'), 'utf8');
    await eventually(record, (text) => /"stage": "verifying"/.test(text), 60_000, 20);
    second.child.kill('SIGKILL');
    expect(await evaluate(given, command, ['--concurrency', '1'], KNOWN).ended).toMatchObject({ code: 0 });
    await expectAllSolved(given, [2, 1]);
  }, 170_000);

  test('ends an agent at its limit and grades what there is, and one without money stops and says so', async () => {
    const given = await setting();
    const slow = await evaluate(given, 'sleep 1000 & wait', ['--timeout', '1'], SAMPLES.slice(0, 1)).ended;
    expect(slow.code).toBe(0);
    expect((await reportIn(given.dir)).samples[0]).toMatchObject({ timed_out: true, outcome: 'unsolved', attempts: 1 });
    const poor = await setting(0);
    const stopped = await evaluate(poor, 'true').ended;
    expect([stopped.code, stopped.err]).toEqual([1, expect.stringContaining('Insufficient balance')]);
    expect((await reportIn(poor.dir)).totals).toMatchObject({ waiting: 4, cost_microcents: 0 });
  }, 170_000);

  test('shows a bar where a person watches', async () => {
    const given = await setting();
    const command = `${process.execPath} bin/freehold eval --dataset starter --agent true --out ${given.dir} --sample ${SAMPLES[0]}`;
    const env = { FREEHOLD_URL: server.url, FREEHOLD_API_KEY: given.agent.key, HOME: '/nonexistent', TERM: 'xterm' };
    // A terminal of its own, as `script` makes one.
    const shown = await must(['script', '-qec', command, '/dev/null'], { cwd: REPOSITORY, env, timeoutMs: 120_000 });
    expect(shown).toContain(`\r\u001B[2K[${'-'.repeat(24)}] 0/1  0 solved, 0 unsolved  $0.000000  00:`);
    expect(shown).toContain('report.html');
  }, 170_000);

  test('runs its command inside the session where it is told to', async () => {
    const given = await setting();
    const command = `grep -q . "$FREEHOLD_PROBLEM_FILE" && sed -i 's/start - at > minutes/start - at >= minutes/' slots.py; echo inside`;
    expect(await evaluate(given, command, ['--in-session'], ['starter__free-slots-2']).ended).toMatchObject({
      code: 0,
    });
    expect((await reportIn(given.dir)).samples[0]).toMatchObject({ agent_exit_code: 0, outcome: 'unsolved' });
    const log = join(given.dir, 'samples/starter__free-slots-2/agent.log');
    expect(await readFile(log, 'utf8')).toBe('inside\n');
  }, 170_000);

  test.each([
    [['eval', '--agent', 'true'], 2, '--dataset is missing'],
    [['eval', '--dataset', 'starter'], 2, '--agent is missing'],
    [
      ['eval', '--dataset', 'starter', '--agent', 'true', '--concurrency', '65'],
      2,
      '--concurrency must be at most 64.',
    ],
    [['eval', '--dataset', 'none', '--agent', 'true'], 1, 'none has no samples that can be run'],
    [['eval', '--dataset', 'starter', '--agent', 'true', '--sample', 'no'], 1, 'starter has no sample no'],
  ])('says what is wrong with %j', async (args, code, words) => {
    const { agent, dir } = await setting(0);
    const env = { FREEHOLD_URL: server.url, FREEHOLD_API_KEY: agent.key, HOME: '/nonexistent' };
    const ended = await start([...args, '--out', dir], env).ended;
    expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(words)]);
  });
});

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A process that has ended may still be listed until somebody asks for how. */
const isAtWork = (pid: number): Promise<boolean> =>
  readFile(`/proc/${pid}/status`, 'utf8').then(
    (status) => !/^State:\s+Z/m.test(status),
    () => false,
  );

async function expectAllSolved({ agent, dir }: Setting, attempts: number[]): Promise<void> {
  const { totals, samples } = await reportIn(dir);
  expect(samples.map((one) => [one.outcome, one.attempts])).toEqual(attempts.map((count) => ['solved', count]));
  expect(totals.cost_microcents).toBe(await paidBy(agent));
  const sessions = await sessionsOf(agent);
  expect(sessions.map(({ state }) => state)).toEqual(sessions.map(() => 'closed'));
  expect(sessions).toHaveLength(attempts.reduce((sum, count) => sum + count, 0));
}

/** The page stands alone: it asks for nothing, complains of nothing, and shows its pictures in light and in dark. */
async function looksRight(dir: string): Promise<void> {
  const browser = await openBrowser();
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, complaints, requested, close } = await watchedPage(browser, { colorScheme });
      await page.goto(`file://${dir}/report.html`);
      expect(await page.locator('figure svg').count()).toBe(3);
      expect(await page.locator('tbody tr').count()).toBe(4);
      expect(await page.locator('.charts').textContent()).toContain('50 %');
      const wide = await page.evaluate('document.documentElement.scrollWidth > window.innerWidth');
      expect([complaints, requested, wide]).toEqual([[], [`file://${dir}/report.html`], false]);
      const shots = process.env['REPORT_SHOTS'];
      if (shots !== undefined) await page.screenshot({ path: `${shots}/report-${colorScheme}.png`, fullPage: true });
      await close();
    }
  } finally {
    await browser.close();
  }
}
