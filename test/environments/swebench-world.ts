import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { must } from '../../src/platform/run.ts';
import { start } from '../cli/freehold.ts';
import { eventually, request, type Agent } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { temporaryFolder } from './datasets-world.ts';

/** Files by their paths; one that is null is removed. */
type Files = Record<string, string | null>;
type Names = { FAIL_TO_PASS: string[] | string; PASS_TO_PASS: string[] | string };

export type Line = {
  instance_id: string;
  repo: string;
  base_commit: string;
  patch: string;
  test_patch: string;
} & Names;

/** A repository at `folder/owner/name`, and the sample that lies in it: the commit, what solves it, and its tests. */
export async function repository(
  folder: string,
  sample: { id: string; repo: string; before: Files; solution: Files; tests: Files } & Names,
): Promise<Line & { dir: string }> {
  const dir = join(folder, sample.repo);
  await mkdir(dir, { recursive: true });
  const git = (...args: string[]) =>
    must(['git', '-c', 'user.name=a', '-c', 'user.email=a@localhost', ...args], { cwd: dir });
  const change = async (files: Files) => {
    for (const [path, text] of Object.entries(files)) {
      if (text === null) await rm(join(dir, path));
      else {
        await mkdir(dirname(join(dir, path)), { recursive: true });
        await writeFile(join(dir, path), text);
      }
    }
    await git('add', '--all');
    return git('diff', '--cached', '--binary');
  };
  await git('init', '--quiet', '--initial-branch=main');
  await change(sample.before);
  await git('commit', '--quiet', '-m', 'before');
  const base_commit = (await git('rev-parse', 'HEAD')).trim();
  const patch = await change(sample.solution);
  await git('reset', '--quiet', '--hard');
  const test_patch = await change(sample.tests);
  await git('reset', '--quiet', '--hard');
  const { id, repo, FAIL_TO_PASS, PASS_TO_PASS } = sample;
  return { dir, instance_id: id, repo, base_commit, patch, test_patch, FAIL_TO_PASS, PASS_TO_PASS };
}

type Result = { sample_id: string; state: string; reason: string | null };
export type Grading = {
  is_success: boolean;
  resolution: string;
  passes: string[];
  failures: string[];
  skips: string[];
};

/** A server, and what is done with samples on it. */
export type SwebenchWorld = {
  server: TestServer;
  agent: Agent;
  import(dataset: string, lines: object[], more: string[]): Promise<Result[]>;
  /** What became of each sample when all were checked. */
  checked(dataset: string): Promise<Result[]>;
  open(dataset: string, sample: string): Promise<Work>;
};
/** A session on a sample. */
export type Work = {
  path: string;
  run(command: string): Promise<{ exit_code: number; stdout: string; stderr: string }>;
  graded(): Promise<Grading>;
  /** Begins anew, does what a script says, and has it graded. */
  gradedAfter(script: string): Promise<Grading>;
  diff(): Promise<string>;
  close(): Promise<void>;
};

const CHECK_PATIENCE_MS = 500_000;

export async function swebenchWorld(): Promise<SwebenchWorld> {
  await prepareTestHost();
  const server = await testServer();
  const agent = await server.agent(500);
  const call = async (method: string, path: string, body?: object) =>
    (await request(server.url, method, path, { key: agent.key, ...(body && { body }) })).body;
  const cli = (args: string[]) =>
    start(args, { FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey, HOME: '/nonexistent' }).ended;
  return {
    server,
    agent,
    async import(dataset, lines, more) {
      const file = join(await temporaryFolder(), `${dataset}.jsonl`);
      const sent = lines.map((line) => JSON.stringify({ problem_statement: 'It is wrong.', ...line }));
      await writeFile(file, sent.join('\n'));
      const { code, out, err } = await cli(['datasets', 'import', file, '--format', 'swebench', '--json', ...more]);
      expect([code, err]).toEqual([0, '']);
      return JSON.parse(out).results;
    },
    checked: (dataset) =>
      eventually(
        async () => JSON.parse((await cli(['datasets', 'status', dataset, '--json'])).out).samples as Result[],
        (samples) => samples.every(({ state }) => state !== 'unchecked'),
        CHECK_PATIENCE_MS,
        1_000,
      ),
    async open(dataset, sample) {
      const { session_id } = await call('POST', '/sessions', { dataset, sample_id: sample });
      return workOn(call, `/sessions/${session_id}`);
    },
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- replies are read as a client reads them
type Call = (method: string, path: string, body?: object) => Promise<any>;

async function workOn(call: Call, path: string): Promise<Work> {
  const polled = (at: string, done: (body: Awaited<ReturnType<Call>>) => boolean) =>
    eventually(() => call('GET', path + at), done);
  expect(await polled('', ({ status }) => status !== 'creating')).toMatchObject({ status: 'ready' });
  const run = async (command: string) => {
    const { interaction_id: id } = await call('POST', `${path}/exec`, { command });
    return polled(`/interactions/${id}`, ({ exit_code: code }) => code !== null);
  };
  const graded = async () => {
    const { job_id: id } = await call('POST', `${path}/verify`);
    const done = await polled(`/verify/${id}`, ({ status }) => /completed|error/.test(status));
    expect(done.error).toBeNull();
    return done.result;
  };
  return {
    path,
    run,
    graded,
    async gradedAfter(script) {
      const { exit_code, stderr } = await run(
        `cd /testbed && sudo rm -rf tests && git reset -q --hard && git clean -fdxq && { ${script}\n}`,
      );
      expect([exit_code, stderr]).toEqual([0, expect.anything()]);
      return graded();
    },
    diff: () => call('GET', `${path}/diff`),
    close: () => call('DELETE', path),
  };
}
