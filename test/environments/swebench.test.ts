import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
// oxlint-disable-next-line typescript/no-explicit-any -- replies are read as a client reads them
const polled = (path: string, done: (body: any) => boolean) =>
  eventually(async () => (await call('GET', path)).body, done);

const TEST = `import unittest
from lib.adder import add

class Adding(unittest.TestCase):
    def test_small(self):
        self.assertEqual(add(1, 1), 2)
`;
const MORE = `${TEST}
    def test_negative(self):
        self.assertEqual(add(-1, -1), -2)
`;
const BROKEN = 'def add(a, b):\n    return abs(a) + abs(b)\n';
const FIXED = 'def add(a, b):\n    return a + b\n';

/** A repository of two commits, and the sample that lies between them; its tests come with the second. */
async function repository(folder: string) {
  const dir = join(folder, 'acme', 'adder');
  await mkdir(join(dir, 'lib'), { recursive: true });
  await mkdir(join(dir, 'tests'));
  const git = (...args: string[]) =>
    must(['git', '-c', 'user.name=a', '-c', 'user.email=a@localhost', ...args], { cwd: dir });
  const write = (path: string, text: string) => writeFile(join(dir, path), text);
  await git('init', '--quiet');
  for (const path of ['lib/__init__.py', 'tests/__init__.py', 'conftest.py']) await write(path, '');
  await write('lib/adder.py', BROKEN);
  await write('tests/test_adder.py', TEST);
  await write('tests/test_old.py', 'import unittest\n');
  await git('add', '.');
  await git('commit', '--quiet', '-m', 'before');
  const commit = (await git('rev-parse', 'HEAD')).trim();
  await write('lib/adder.py', FIXED);
  const patch = await git('diff');
  await git('checkout', '--quiet', '.');
  await write('tests/test_adder.py', MORE);
  await git('rm', '--quiet', 'tests/test_old.py');
  await git('add', '.');
  return {
    instance_id: 'acme__adder-1',
    repo: 'acme/adder',
    base_commit: commit,
    problem_statement: 'Negative numbers are added wrongly.',
    patch,
    test_patch: await git('diff', '--cached'),
    FAIL_TO_PASS: JSON.stringify(['test_negative (tests.test_adder.Adding)']),
    PASS_TO_PASS: ['test_small (tests.test_adder.Adding)'],
  };
}

test('SWE-bench samples run in their repository, with the tests of the patch there only when work is graded', async () => {
  const folder = await temporaryFolder();
  const sample = await repository(folder);
  const lines = [
    sample,
    { ...sample, instance_id: 'acme__adder-2', PASS_TO_PASS: [] },
    { ...sample, instance_id: 'acme__adder-3', patch: '' },
    { ...sample, instance_id: 'acme__nowhere-1', repo: 'acme/nowhere' },
    { ...sample, instance_id: 'acme__adder-4', base_commit: '0123456789abcdef' },
    { ...sample, instance_id: 'acme__adder-5', base_commit: '--output=/tmp/x' },
  ];
  await writeFile(join(folder, 'swe.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
  const setup = join(folder, 'setup');
  await mkdir(setup);
  await writeFile(join(setup, 'acme__adder-2.sh'), 'echo prepared > built.txt; echo made > /etc/made\n');
  const cli = (args: string[]) =>
    start(args, { FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey, HOME: '/nonexistent' }).ended;
  const more = ['--repositories', folder, '--setup', setup, '--json'];
  const imported = await cli(['datasets', 'import', join(folder, 'swe.jsonl'), '--format', 'swebench', ...more]);
  expect([imported.code, imported.err]).toEqual([0, '']);
  const results: { sample_id: string; state: string; reason: string | null }[] = JSON.parse(imported.out).results;
  expect(results.map(({ sample_id: id, state, reason }) => [id, state, reason])).toEqual([
    ['acme__adder-1', 'unchecked', null],
    ['acme__adder-2', 'unchecked', null],
    ['acme__adder-3', 'unchecked', null],
    ['acme__nowhere-1', 'not_runnable', expect.stringContaining('There is no repository acme/nowhere')],
    ['acme__adder-4', 'not_runnable', expect.stringContaining('git read-tree')],
    ['acme__adder-5', 'not_runnable', 'It names no repository and commit'],
  ]);
  const states = await eventually(
    async () => JSON.parse((await cli(['datasets', 'status', 'swe', '--json'])).out).samples as typeof results,
    (samples) => samples.every(({ state }) => state !== 'unchecked'),
    500_000,
    1_000,
  );
  expect(states.slice(0, 3).map(({ state, reason }) => [state, reason])).toEqual([
    ['offered', null],
    ['offered', null],
    ['rejected', 'It has no solution that could be run'],
  ]);
  for (const id of ['acme__adder-1', 'acme__adder-2']) await solvedAndFaked(id);
}, 700_000);

/** The same session is graded three times: untouched and dressed up, then solved. */
async function solvedAndFaked(id: string): Promise<void> {
  const { body } = await call('POST', '/sessions', { dataset: 'swe', sample_id: id });
  const path = `/sessions/${body.session_id}`;
  expect(await polled(path, ({ status }) => status !== 'creating')).toMatchObject({ status: 'ready' });
  const run = async (command: string) => {
    const { body: begun } = await call('POST', `${path}/exec`, { command });
    return polled(`${path}/interactions/${begun.interaction_id}`, ({ exit_code: code }) => code !== null);
  };
  const graded = async () => {
    const { body: job } = await call('POST', `${path}/verify`);
    const done = await polled(`${path}/verify/${job.job_id}`, ({ status }) => /completed|error/.test(status));
    expect(done.error).toBeNull();
    return done.result;
  };
  const built = id === 'acme__adder-2';
  const looked = await run('pwd; git log --oneline | wc -l; cat built.txt /etc/made 2>/dev/null; ls tests');
  expect(looked.stdout).toBe(
    `/testbed\n1\n${built ? 'prepared\nmade\n' : ''}__init__.py\ntest_adder.py\ntest_old.py\n`,
  );
  expect((await run('grep -rn test_negative . /tests')).stdout).toBe('');
  const name = 'tests.test_adder.Adding)';
  const toPass = built ? [] : [`test_small (${name}`];
  await run('rm -rf tests && ln -s /logs/verifier tests; (while :; do sleep 1; done) & exit 0');
  expect(await graded()).toMatchObject({ is_success: false });
  await run('rm -f tests; git checkout -q tests; echo "" > tests/test_adder.py');
  expect(await graded()).toMatchObject({ is_success: false, passes: toPass, failures: [`test_negative (${name}`] });
  await run(`sed -i 's/abs(a) + abs(b)/a + b/' lib/adder.py`);
  expect(await graded()).toMatchObject({
    is_success: true,
    passes: [`test_negative (${name}`, ...toPass],
    failures: [],
  });
  expect((await call('GET', `${path}/diff`)).body).toMatch(/^\+ {4}return a \+ b$/m);
  await call('DELETE', path);
}
