import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../../src/platform/run.ts';
import { start } from '../cli/freehold.ts';
import { eventually, request, type Agent } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { temporaryFolder } from './datasets-world.ts';

const SAMPLE = { dataset: 'starter', sample_id: 'starter__free-slots-2' };
const HIDDEN = /hidden\.py|lab\.py|gold\.patch/;

let server: TestServer;
let agent: Agent;
beforeAll(async () => {
  await prepareTestHost();
  server = await testServer();
  agent = await server.agent(500);
}, 900_000);
afterAll(async () => {
  const machines = async () => (await request(server.url, 'GET', '/v1/admin/machines', { key: server.adminKey })).body;
  await eventually(machines, (body) => body.machines.length === 0);
  await server.stop();
});

const call = (method: string, path: string, body?: object, key = agent.key) =>
  request(server.url, method, path, { key, ...(body && { body }) });
// oxlint-disable-next-line typescript/no-explicit-any -- replies are read as a client reads them
const polled = (path: string, done: (body: any) => boolean) =>
  eventually(async () => (await call('GET', path)).body, done);

async function ready(): Promise<string> {
  const { status, body } = await call('POST', '/sessions', SAMPLE);
  expect({ status, body }).toMatchObject({ status: 200, body: { status: 'creating' } });
  const session = await polled(`/sessions/${body.session_id}`, ({ status: now }) => now !== 'creating');
  expect(session).toMatchObject({ status: 'ready', ...SAMPLE, user_id: agent.accountId, error: null });
  return body.session_id;
}

async function ran(id: string, command: string) {
  const { body } = await call('POST', `/sessions/${id}/exec`, { command });
  return polled(`/sessions/${id}/interactions/${body.interaction_id}`, ({ exit_code: code }) => code !== null);
}

test('datasets and samples are there for everybody, with hidden parts withheld', async () => {
  const { body: datasets } = await request(server.url, 'GET', '/api/v1/datasets', {});
  expect(datasets).toEqual([
    { name: 'starter', description: expect.any(String), sample_count: 14, created_at: expect.any(String) },
  ]);
  const { body: all } = await request(server.url, 'GET', '/samples', {});
  expect(all).toMatchObject({ total_count: 14, page: 1, page_size: 14, has_more: false });
  for (const sample of all.samples) expect([sample.patch, sample.test_patch, sample.runnable]).toEqual(['', '', true]);
  const page = await request(server.url, 'GET', '/samples?page=2&page_size=5&dataset=starter', {});
  expect(page.body).toMatchObject({ total_count: 14, page: 2, page_size: 5, has_more: true });
  expect(page.body.samples.map((one: { sample_id: string }) => one.sample_id)).toEqual(
    all.samples.slice(5, 10).map((one: { sample_id: string }) => one.sample_id),
  );
  expect((await request(server.url, 'GET', '/samples?search=CSV', {})).body.samples).toHaveLength(1);
  expect((await request(server.url, 'GET', '/samples?dataset=none', {})).body.total_count).toBe(0);
});

test('a sample is downloaded as the same tar.gz every time, without what is hidden', async () => {
  const download = async (query = '') => {
    const path = `/samples/starter/${SAMPLE.sample_id}/download${query}`;
    const response = await fetch(server.url + path, { headers: { authorization: `Bearer ${agent.key}` } });
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      bytes: Buffer.from(await response.arrayBuffer()),
    };
  };
  const [one, other] = await Promise.all([download(), download('?version=1')]);
  expect([one.status, one.type]).toEqual([200, 'application/gzip']);
  const hash = ({ bytes }: { bytes: Buffer }) => createHash('sha256').update(bytes).digest('hex');
  expect(hash(one)).toBe(hash(other));
  const names = await must(['tar', '-tz'], { stdin: one.bytes });
  expect(names.split('\n')).toEqual(expect.arrayContaining(['sample.json', 'repo/slots.py', 'environment/Dockerfile']));
  expect(names).not.toMatch(HIDDEN);
  expect(gunzipSync(one.bytes).toString()).not.toMatch(/test_between_two_bookings\(self\)/);
  expect((await download('?version=2')).status).toBe(404);
  expect((await request(server.url, 'GET', `/samples/starter/${SAMPLE.sample_id}/download`, {})).status).toBe(401);
});

describe('a session', () => {
  test('is worked in, graded and paid as its client expects', async () => {
    const id = await ready();
    expect(await ran(id, 'ls; exit 3')).toMatchObject({
      exit_code: 3,
      stdout: 'slots.py\n',
      stderr: '',
      success: false,
      status: 'completed',
      message: null,
    });
    const replaced = await call('POST', `/api/v1/sessions/${id}/str_replace`, {
      file_path: 'slots.py',
      str_to_replace: 'if start - at > minutes:',
      str_to_insert: 'if start - at >= minutes:',
    });
    expect(replaced).toMatchObject({ status: 200, body: { success: true } });
    const { body: job } = await call('POST', `/sessions/${id}/verify`);
    const graded = await polled(
      `/sessions/${id}/verify/${job.job_id}`,
      ({ status }) => status === 'completed' || status === 'error',
    );
    expect(graded).toMatchObject({
      session_id: id,
      sample_id: SAMPLE.sample_id,
      error: null,
      result: { tool: 'test_suite', is_success: false, total: 14, skipped: 0, stdout: null },
    });
    expect(graded.result.passes).toContain('Free::test_exactly_as_long_as_asked');
    const diff = await call('GET', `/sessions/${id}/diff`);
    expect(diff.body).toMatch(/^- {8}if start - at > minutes:$/m);
    const closed = await call('DELETE', `/sessions/${id}`);
    expect(closed).toMatchObject({
      status: 200,
      body: { message: expect.any(String), duration_seconds: expect.any(Number) },
    });
    expect((await call('DELETE', `/sessions/${id}`)).body.duration_seconds).toBe(closed.body.duration_seconds);
    expect((await call('POST', `/sessions/${id}/exec`, { command: 'ls' })).status).toBe(409);
    const { body: list } = await call('GET', '/sessions');
    expect(list).toMatchObject({ total_count: 1, has_more: false, sessions: [{ session_id: id, status: 'closed' }] });
    expect((await call('GET', '/billing/usage')).body.total_usage_cents).toBeGreaterThan(0);
  });

  test('tells a command as it runs, from any place on', async () => {
    const id = await ready();
    const { body } = await call('POST', `/sessions/${id}/exec`, { command: 'echo héllo; sleep 1; echo end >&2' });
    const events = async (query: string) => {
      const path = `/sessions/${id}/interactions/${body.interaction_id}/stream${query}`;
      const text = await (await fetch(server.url + path, { headers: { authorization: `Bearer ${agent.key}` } })).text();
      return [...text.matchAll(/event: (\w+)\ndata: (.*)\n/g)].map(([, name, data]) => [name, JSON.parse(data ?? '')]);
    };
    const all = await events('');
    expect(all.slice(0, 2)).toEqual([
      ['output', { stream: 'stdout', offset: 0, bytes: 7, text: 'héllo\n' }],
      ['output', { stream: 'stderr', offset: 0, bytes: 4, text: 'end\n' }],
    ]);
    expect(all[2]).toEqual(['end', expect.objectContaining({ exit_code: 0, stdout: 'héllo\n' })]);
    expect((await events('?stdout=7&stderr=1'))[0]).toEqual([
      'output',
      { stream: 'stderr', offset: 1, bytes: 3, text: 'nd\n' },
    ]);
    await call('DELETE', `/sessions/${id}`);
  });

  test('is nobody else’s, and needs money and a sample', async () => {
    const [poor, rich] = [await server.agent(0), await server.agent(100)];
    expect(await call('POST', '/sessions', SAMPLE, poor.key)).toMatchObject({
      status: 402,
      body: { detail: expect.any(String) },
    });
    expect((await call('POST', '/sessions', { ...SAMPLE, sample_id: 'none' }, rich.key)).status).toBe(404);
    expect(await call('POST', '/sessions', { ...SAMPLE, ttl_minutes: 0 }, rich.key)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ['body', 'ttl_minutes'], type: 'greater_than_equal' }] },
    });
    const id = await ready();
    const { body } = await call('POST', `/sessions/${id}/exec`, { command: 'true' });
    for (const [method, path, sent] of [
      ['GET', '', undefined],
      ['DELETE', '', undefined],
      ['GET', `/interactions/${body.interaction_id}`, undefined],
      ['POST', '/verify', undefined],
      ['POST', '/exec', { command: 'true' }],
    ] as const)
      expect((await call(method, `/sessions/${id}${path}`, sent, rich.key)).body).toEqual({
        detail: 'Session not found',
      });
    const other = await ready();
    expect((await call('GET', `/sessions/${other}/interactions/${body.interaction_id}`)).status).toBe(404);
    for (const one of [id, other]) await call('DELETE', `/sessions/${one}`);
  });
});

describe('an operator', () => {
  const cli = (args: string[]) =>
    start(args, { FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey, HOME: '/nonexistent' }).ended;
  const TASK = `version = "1.0"
[metadata.freehold]
image = "base"
workspace = "environment/repo"
workdir = "/it"
grades = "workspace"
`;
  const write = async (dir: string, files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(dir, path, '..'), { recursive: true });
      await writeFile(join(dir, path), text);
    }
  };
  const task = (verify: string, solve: string, toml = TASK): Record<string, string> => ({
    'task.toml': toml,
    'instruction.md': 'Make it.',
    'environment/repo/README.md': 'x',
    'tests/test.sh': verify,
    'solution/solve.sh': solve,
  });

  test('imports samples, which are offered when their solution passes and nothing does not', async () => {
    const dir = await temporaryFolder();
    const reward = 'if [ -e done ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt';
    await write(join(dir, 'good'), task(reward, 'touch done'));
    await write(join(dir, 'lazy'), task('echo 1 > /logs/verifier/reward.txt', 'true'));
    await write(join(dir, 'unsolved'), task(reward, 'true'));
    await write(join(dir, 'broken'), task(reward, 'echo no such luck >&2; exit 1'));
    await write(
      join(dir, 'system'),
      task(
        'if [ -e /etc/made ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt',
        'sudo touch /etc/made',
        TASK.replace('"workspace"\n', '"disk"\n').replace('workspace = "environment/repo"\n', ''),
      ),
    );
    await write(join(dir, 'foreign'), task(reward, 'touch done', 'version = "1.0"\n'));
    await write(join(dir, 'wrong'), { 'task.toml': '=' });
    await write(join(dir, 'notes'), { 'README.md': 'no task' });
    const imported = await cli([
      'datasets',
      'import',
      dir,
      '--format',
      'harbor',
      '--name',
      'mine',
      '--grading',
      'subset',
      '--json',
    ]);
    expect(imported.code).toBe(1);
    const { results } = JSON.parse(imported.out) as {
      results: { sample_id: string; outcome: string; reason: string }[];
    };
    expect(Object.fromEntries(results.map((one) => [one.sample_id, one.reason ?? one.outcome]))).toEqual({
      broken: 'imported',
      foreign: 'It says nothing of its image',
      good: 'imported',
      lazy: 'imported',
      notes: 'It has no task.toml',
      system: 'imported',
      unsolved: 'imported',
      wrong: 'task.toml is not TOML: line 1',
    });
    const states = await eventually(
      async () =>
        JSON.parse((await cli(['datasets', 'status', 'mine', '--json'])).out).samples as {
          sample_id: string;
          state: string;
          reason: string;
        }[],
      (samples) => samples.every(({ state }) => state !== 'unchecked'),
      120_000,
      1_000,
    );
    expect(Object.fromEntries(states.map((one) => [one.sample_id, one.reason ?? one.state]))).toEqual({
      broken: 'Its solution could not be carried out: no such luck',
      foreign: 'It says nothing of its image',
      good: 'offered',
      lazy: 'It is solved with nothing done',
      system: 'offered',
      unsolved: expect.stringContaining('Its solution does not pass'),
    });
    expect((await cli(['datasets', 'list'])).out).toMatch(/mine +3/);
  }, 180_000);

  test('imports samples with Dockerfiles, whose images are built, or which are marked', async () => {
    const dir = await temporaryFolder();
    const verify = 'if [ "$(cat made.txt)" = done ]; then echo 1; else echo 0; fi > /logs/verifier/reward.txt';
    const files = (from: string) => ({
      ...task(verify, 'grep -qx start made.txt && echo done > made.txt', 'version = "1.0"\n'),
      'environment/Dockerfile': `FROM ${from}\nWORKDIR /app\nCOPY made.txt .\nRUN chown -R user:user /app\n`,
      'environment/made.txt': 'start\n',
    });
    await write(join(dir, 'built'), files('base'));
    await write(join(dir, 'unbuilt'), files('registry.invalid/nowhere/none:1'));
    expect((await cli(['datasets', 'import', dir, '--format', 'harbor', '--name', 'dockers'])).code).toBe(0);
    const seen = async () => JSON.parse((await cli(['datasets', 'status', 'dockers', '--json'])).out).samples;
    const samples = await eventually(
      seen,
      (all) => all.every((one: { state: string }) => one.state !== 'unchecked'),
      500_000,
      2_000,
    );
    expect(samples).toMatchObject([
      { sample_id: 'built', state: 'offered', reason: null },
      { sample_id: 'unbuilt', state: 'not_runnable', reason: expect.stringContaining('could not be built') },
    ]);
    const { body } = await call('POST', '/sessions', { dataset: 'dockers', sample_id: 'built' });
    await polled(`/sessions/${body.session_id}`, ({ status }) => status === 'ready');
    expect(await ran(body.session_id, 'pwd; cat made.txt; echo done > made.txt')).toMatchObject({
      stdout: '/app\nstart\n',
    });
    const { body: job } = await call('POST', `/sessions/${body.session_id}/verify`);
    const path = `/sessions/${body.session_id}/verify/${job.job_id}`;
    expect(await polled(path, ({ status }) => status === 'completed' || status === 'error')).toMatchObject({
      result: { is_success: true },
    });
    await call('DELETE', `/sessions/${body.session_id}`);
  }, 700_000);

  test('imports a folder that is larger than any request, whose large files are sent by themselves', async () => {
    const dir = await temporaryFolder();
    const verify = `test "$(cat big-1 big-2 | sha256sum)" = "$(cat sum)" && [ -e done ] && echo 1 > /logs/verifier/reward.txt`;
    const files = [7, 8].map((byte) => Buffer.alloc(33_000_000, byte));
    const sum = createHash('sha256').update(Buffer.concat(files)).digest('hex');
    await write(join(dir, 'large'), { ...task(verify, 'touch done'), 'environment/repo/sum': `${sum}  -\n` });
    for (const [n, file] of files.entries()) await writeFile(join(dir, 'large/environment/repo', `big-${n + 1}`), file);
    const imported = await cli(['datasets', 'import', dir, '--format', 'harbor', '--name', 'large']);
    expect([imported.code, imported.err]).toEqual([0, '1 sample in large, 0 refused.\n']);
    const seen = async () => JSON.parse((await cli(['datasets', 'status', 'large', '--json'])).out).samples;
    const [sample] = await eventually(seen, ([one]) => one.state !== 'unchecked', 120_000, 1_000);
    expect(sample).toMatchObject({ state: 'offered', reason: null });
  }, 180_000);

  test('imports a SWE-bench file and is told of every line', async () => {
    const dir = await temporaryFolder();
    const line = (id: string) => JSON.stringify({ instance_id: id, problem_statement: 'x', FAIL_TO_PASS: '["a"]' });
    const lines = Array.from({ length: 45 }, (_, index) => line(`o__r-${index}`));
    await writeFile(join(dir, 'lite.jsonl'), [...lines, '', 'nonsense'].join('\n'));
    const imported = await cli(['datasets', 'import', join(dir, 'lite.jsonl'), '--format', 'swebench']);
    expect(imported.code).toBe(1);
    expect(imported.err).toContain('45 samples in lite, 1 refused.');
    expect((await request(server.url, 'GET', '/samples?dataset=lite', {})).body.total_count).toBe(45);
    const session = await call('POST', '/sessions', { dataset: 'lite', sample_id: 'o__r-1' });
    expect(session).toMatchObject({ status: 409, body: { detail: expect.stringContaining('cannot be run') } });
  });

  test.each([
    [['datasets', 'import', '/nowhere', '--format', 'harbor'], /cannot be read \(ENOENT\)/],
    [['datasets', 'import', '/tmp', '--format', 'zip'], /--format must be one of/],
    [['datasets', 'import', '/tmp'], /--format is missing/],
    [['datasets', 'import', '/tmp', '--format', 'harbor', '--repositories', '/tmp'], /is for SWE-bench files/],
    [['datasets', 'import', '/tmp', '--format', 'swebench', '--setup', '/tmp'], /--setup needs --repositories/],
    [['datasets', 'status', 'none'], /Dataset not found/],
  ])('is told what is wrong with %j', async (args, words) => {
    const { code, err } = await cli(args);
    expect([code !== 0, err]).toEqual([true, expect.stringMatching(words)]);
  });
});
