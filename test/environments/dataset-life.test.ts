import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/platform/run.ts';
import { start } from '../cli/freehold.ts';
import { eventually, request, type Agent } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { temporaryFolder } from './datasets-world.ts';

let server: TestServer;
let agent: Agent;
beforeAll(async () => {
  await prepareTestHost();
  server = await testServer();
  agent = await server.agent(500);
}, 900_000);
afterAll(() => server.stop());

const call = (method: string, path: string, body?: object) =>
  request(server.url, method, path, { key: agent.key, ...(body && { body }) });
const cli = (args: string[]) =>
  start(args, { FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey, HOME: '/nonexistent' }).ended;

async function write(dir: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
}

type State = { sample_id: string; version: number; state: string; reason: string | null };
async function imported(dir: string, format: string, name: string, more: string[] = []): Promise<State[]> {
  expect(await cli(['datasets', 'import', dir, '--format', format, '--name', name, ...more])).toMatchObject({
    code: 0,
  });
  const seen = async () => JSON.parse((await cli(['datasets', 'status', name, '--json'])).out).samples as State[];
  return eventually(seen, (samples) => samples.every(({ state }) => state !== 'unchecked'), 500_000, 1_000);
}

async function opened(body: object, path = '/sessions'): Promise<string> {
  const reply = await call('POST', path, body);
  const session = `/sessions/${reply.body.session_id}`;
  const seen = async () => (await call('GET', session)).body;
  expect(await eventually(seen, ({ status }) => status !== 'creating')).toMatchObject({ status: 'ready' });
  return session;
}
async function ran(session: string, command: string): Promise<{ exit_code: number; stdout: string }> {
  const { body } = await call('POST', `${session}/exec`, { command });
  const seen = async () => (await call('GET', `${session}/interactions/${body.interaction_id}`)).body;
  return eventually(seen, ({ exit_code: code }) => code !== null);
}
async function graded(session: string) {
  const { body } = await call('POST', `${session}/verify`);
  const seen = async () => (await call('GET', `${session}/verify/${body.job_id}`)).body;
  const job = await eventually(seen, ({ status }) => status === 'completed' || status === 'error');
  expect(job.error).toBeNull();
  return job.result;
}
/** The names in a downloaded sample, and the text of a file in it. */
async function downloaded(path: string, file: string): Promise<{ names: string[]; text: string }> {
  const response = await fetch(server.url + path, { headers: { authorization: `Bearer ${agent.key}` } });
  expect(response.status).toBe(200);
  const stdin = Buffer.from(await response.arrayBuffer());
  const names = (await must(['tar', '-tz'], { stdin })).split('\n').filter(Boolean);
  return { names, text: await must(['tar', '-xzO', file], { stdin }) };
}

const TASK = `version = "1.0"
[metadata.freehold]
image = "base"
workspace = "environment/repo"
workdir = "/it"
grades = "workspace"
[verifier]
timeout_sec = 5
`;
const REWARD = 'if [ -e done ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt';
const harbor = (readme: string, verify: string): Record<string, string> => ({
  'task.toml': TASK,
  'instruction.md': 'Make it.',
  'environment/repo/README.md': readme,
  'tests/test.sh': verify,
  'solution/solve.sh': 'touch done',
});

test('a dataset that shows its hidden parts shows them, each version stays what it was, and grading has no network and an end', async () => {
  const dir = await temporaryFolder();
  const told = `echo interfaces: $(ls /sys/class/net); ${REWARD}`;
  await write(join(dir, 'open'), harbor('first', told));
  await write(join(dir, 'endless'), harbor('x', `[ ! -e done ] || sleep 100; ${REWARD}`));
  expect(await imported(dir, 'harbor', 'shown', ['--reveal'])).toMatchObject([
    { sample_id: 'endless', state: 'rejected', reason: 'The check of its solution did not end in time' },
    { sample_id: 'open', state: 'offered', version: 1 },
  ]);
  await write(join(dir, 'open'), harbor('second', told));
  const [, again] = await imported(dir, 'harbor', 'shown');
  expect(again).toMatchObject({ sample_id: 'open', state: 'offered', version: 2 });

  const { samples } = (await call('GET', '/samples?dataset=shown')).body;
  expect(samples).toMatchObject([{ sample_id: 'open', version: 2, latest: true }]);
  expect(samples[0].test_patch).toContain('interfaces');
  const path = '/samples/shown/open/download';
  const latest = await downloaded(path, 'repo/README.md');
  expect(latest.text).toBe('second');
  expect(latest.names).toEqual(expect.arrayContaining(['sample.json', 'tests/test.sh', 'solution/solve.sh']));
  expect((await downloaded(`${path}?version=1`, 'repo/README.md')).text).toBe('first');

  const session = await opened({ dataset: 'shown', sample_id: 'open' });
  expect(await graded(session)).toMatchObject({ is_success: false, stdout: 'interfaces: lo\n' });
  await ran(session, 'touch done');
  expect(await graded(session)).toMatchObject({ is_success: true, stdout: 'interfaces: lo\n' });
  await call('DELETE', session);

  expect(await cli(['datasets', 'import', dir, '--format', 'harbor', '--name', 'shown', '--no-reveal'])).toMatchObject({
    code: 0,
  });
  expect((await call('GET', '/samples?dataset=shown')).body.samples[0].test_patch).toBe('');
  expect((await downloaded(path, 'sample.json')).names).not.toEqual(expect.arrayContaining(['tests/test.sh']));
}, 300_000);

test('a task of Terminal-Bench is built, checked, offered, worked on and graded', async () => {
  const dir = await temporaryFolder();
  const report = `<testsuite><testcase classname="greeting" name="is there">$failure</testcase></testsuite>`;
  await write(join(dir, 'greeting'), {
    'task.yaml': 'instruction: |-\n  Write a greeting to /app/greeting.txt.\nmax_test_timeout_sec: 60\n',
    Dockerfile: 'FROM base\nWORKDIR /app\nRUN chown user:user /app\n',
    'docker-compose.yaml': 'services: {client: {build: .}}\n',
    'run-tests.sh': `failure=""; [ "$(cat /app/greeting.txt)" = "$(cat "$TEST_DIR/expected")" ] || failure="<failure/>"
echo '<?xml version="1.0"?>${report.replace('$failure', `'"$failure"'`)}' > /logs/verifier/greeting.xml
[ -z "$failure" ]
`,
    'tests/expected': 'hello\n',
    'solution.sh': 'echo hello > /app/greeting.txt\n',
  });
  expect(await imported(dir, 'terminal-bench', 'tb')).toMatchObject([{ state: 'offered', reason: null }]);
  const session = await opened({ dataset: 'tb', sample_id: 'greeting' });
  expect((await ran(session, 'pwd; ls / | grep -c -x -e tests -e solution')).stdout).toBe('/app\n0\n');
  expect(await graded(session)).toMatchObject({ is_success: false, failures: ['greeting::is there'] });
  await ran(session, 'echo hello > greeting.txt');
  expect(await graded(session)).toMatchObject({ is_success: true, passes: ['greeting::is there'] });
  await call('DELETE', session);
}, 600_000);

test('a session is extended and forked over HTTP, and each is the caller’s to close', async () => {
  const sample = { dataset: 'starter', sample_id: 'starter__csv-rows-1' };
  const session = await opened({ ...sample, ttl_minutes: 2 });
  const { expires_at: before } = (await call('GET', session)).body;
  const extended = await call('POST', `${session}/extend`, { ttl_minutes: 30 });
  expect(extended.status).toBe(200);
  expect(Date.parse(extended.body.expires_at) - Date.parse(before)).toBeGreaterThan(27 * 60_000);
  const shorter = await call('POST', `${session}/extend`, { ttl_minutes: 1 });
  expect(shorter.body.expires_at).toBe(extended.body.expires_at);
  await ran(session, 'echo kept > kept.txt; sync');
  const fork = await opened({ ttl_minutes: 5 }, `${session}/fork`);
  expect((await call('GET', fork)).body).toMatchObject({ ...sample, forked_from: session.split('/').at(-1) });
  expect((await ran(fork, 'cat kept.txt')).stdout).toBe('kept\n');
  for (const one of [session, fork]) expect((await call('DELETE', one)).status).toBe(200);
  expect((await call('POST', `${session}/extend`, { ttl_minutes: 5 })).status).toBe(409);
  expect((await call('POST', `${session}/fork`, {})).status).toBe(409);
}, 120_000);
