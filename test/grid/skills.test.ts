import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { request, type Reply } from '../harness/agent.ts';
import { CACHE_DIR, prepareTestHost } from '../machines/host.ts';
import { pdfOf } from './pdf.ts';

const ADMIN_KEY = 'admin-key-of-the-tests';
const INTERNAL_KEY = 'internal-key-of-the-tests';
const SKILLS = ['csv_parser', 'pdf_reader', 'google_search', 'sentiment_analyzer', 'code_reviewer'];
const HOURS_S = 3 * 60 * 60;
/** What is shown of the server's output when a test fails. */
const MAX_SHOWN = 20_000;

let dataDir: string;
let server: ServerProcess;
let engine: Server;
/** What the search engine does; tests may change it. */
let answerSearch: RequestListener;

const start = async () =>
  void (server = await startServer({
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_CACHE_DIR: CACHE_DIR,
    FREEHOLD_PORT: '0',
    FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    FREEHOLD_INTERNAL_KEY: INTERNAL_KEY,
    FREEHOLD_SEARCH_URL: `http://127.0.0.1:${(engine.address() as AddressInfo).port}`,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_TEST_CLOCK: 'on',
    FREEHOLD_POOL_SIZE: '0',
  }));

const get = (path: string): Promise<Reply> => request(server.url, 'GET', path);
const execute = async (skill: string, input: unknown, key = INTERNAL_KEY): Promise<Reply> => {
  const response = await fetch(`${server.url}/api/v1/skills/${skill}/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-internal-api-key': key },
    body: JSON.stringify(input),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
};
type Listed = { id: string; purpose: string };
const machinesOf = async (skill = ''): Promise<Listed[]> => {
  const { body } = await request(server.url, 'GET', '/v1/admin/machines', { key: ADMIN_KEY });
  return body.machines.filter(({ purpose }: Listed) => purpose.startsWith(`skill:${skill}`));
};

beforeAll(async () => {
  await prepareTestHost();
  dataDir = await mkdtemp(join(tmpdir(), 'freehold-skills-'));
  engine = createServer((asked, response) => answerSearch(asked, response));
  await once(engine.listen(0, '127.0.0.1'), 'listening');
  await start();
}, 900_000);
afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.error(server.output().slice(-MAX_SHOWN));
});
afterAll(async () => {
  // Machines outlive a server; when nobody has called them for an hour, they are given back.
  await request(server.url, 'POST', '/v1/admin/clock', { key: ADMIN_KEY, body: { advance_seconds: HOURS_S } });
  const left = await machinesOf();
  await server.stop();
  engine.close();
  await rm(dataDir, { recursive: true, force: true });
  expect(left).toEqual([]);
});

/** The process that serves in a skill's machine, as the host numbers it. */
async function servingProcess(machineId: string): Promise<number> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [command, group] = await Promise.all(
      ['cmdline', 'cgroup'].map((file) => readFile(`/proc/${name}/${file}`, 'utf8').catch(() => '')),
    );
    if (command?.includes('/opt/skill/server.mjs') && group?.includes(machineId)) return Number(name);
  }
  throw new Error(`nothing serves in ${machineId}`);
}

test('all five are listed with their prices, and rest until they are called', async () => {
  const { status, body } = await get('/api/v1/skills');
  expect(status).toBe(200);
  expect(body).toMatchObject({ count: 5, categories: ['data_processing', 'web_research', 'analysis'] });
  expect(body.skills.map(({ id, price_tck: price }: { id: string; price_tck: number }) => [id, price])).toEqual(
    SKILLS.map((id, index) => [id, [0.3, 0.4, 0.5, 0.6, 0.7][index]]),
  );
  expect(body.skills.map(({ status: at, available }: Record<string, unknown>) => [at, available])).toEqual(
    SKILLS.map(() => ['resting', true]),
  );
  expect((await get('/api/v1/skills?category=analysis')).body.count).toBe(2);
  expect((await get('/api/v1/skills/csv_parser')).body).toMatchObject({ id: 'csv_parser', name: 'CSV Parser' });
  expect(await get('/api/v1/skills/nothing')).toMatchObject({ status: 404, body: { detail: 'Skill not found' } });
  expect(await machinesOf()).toEqual([]);
});

test('only who shows the internal key may run one', async () => {
  expect(await execute('csv_parser', { csv: 'a' }, 'a-wrong-key-of-nobody')).toMatchObject({ status: 401 });
  expect(await request(server.url, 'POST', '/api/v1/skills/csv_parser/execute', { body: {} })).toMatchObject({
    status: 401,
    body: { detail: 'Invalid internal API key' },
  });
  expect(await execute('nothing', {})).toMatchObject({ status: 404 });
});

describe('each runs on real input:', { timeout: 120_000 }, () => {
  test('the CSV parser', async () => {
    const { status, body } = await execute('csv_parser', { csv: 'name;born\n"Lovelace; Ada";1815\nAlan;1912\n' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: true,
      skill_id: 'csv_parser',
      skill_name: 'CSV Parser',
      price_tck: 0.3,
      attempts: 1,
      executed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/),
      result: {
        delimiter: ';',
        data: [
          { name: 'Lovelace; Ada', born: 1815 },
          { name: 'Alan', born: 1912 },
        ],
      },
    });
    expect(Object.keys(body).toSorted()).toEqual(
      ['attempts', 'executed_at', 'price_tck', 'result', 'skill_id', 'skill_name', 'success'].toSorted(),
    );
  });

  test('the PDF reader', async () => {
    const pdf = pdfOf(['The first page', 'Page two'], { Title: 'Two pages', Author: 'A test' }).toString('base64');
    const { body } = await execute('pdf_reader', { pdf });
    expect(body).toMatchObject({
      success: true,
      result: {
        total_pages: 2,
        pages: [
          { page: 1, text: 'The first page' },
          { page: 2, text: 'Page two' },
        ],
        metadata: { title: 'Two pages', author: 'A test' },
      },
    });
  });

  test('the sentiment analyzer', async () => {
    const { body } = await execute('sentiment_analyzer', { text: 'The room was lovely. The food was not good.' });
    expect(body).toMatchObject({
      success: true,
      result: {
        sentences: [
          { label: 'positive', negated: false },
          { label: 'negative', negated: true },
        ],
      },
    });
  });

  test('the code reviewer, in both languages', async () => {
    const python = await execute('code_reviewer', { language: 'python', code: 'def f(x=[]):\n    return eval(x)\n' });
    expect(python.body).toMatchObject({ success: true, result: { syntax_ok: true, metrics: { functions: 1 } } });
    expect(python.body.result.findings.map(({ rule }: { rule: string }) => rule)).toEqual(['eval', 'mutable-default']);
    const script = await execute('code_reviewer', { language: 'typescript', code: 'const a: any = eval("1");' });
    expect(script.body.result.findings.map(({ rule }: { rule: string }) => rule)).toEqual(['eval', 'explicit-any']);
  });

  test('the web search, over the engine that the operator has named', async () => {
    let asked = '';
    answerSearch = ({ url }, response) => {
      asked = url ?? '';
      const result = { url: 'https://example.com/?utm_source=x', title: 'Example', content: 'A page' };
      response.end(JSON.stringify({ results: [result, { ...result, url: 'https://www.example.com/' }] }));
    };
    const { body } = await execute('google_search', { query: 'an example', num_results: 5 });
    expect(asked).toBe('/search?q=an+example&format=json&pageno=1');
    expect(body).toMatchObject({
      success: true,
      attempts: 1,
      result: { total_results: 1, results: [{ rank: 1, title: 'Example', link: 'https://example.com/' }] },
    });
  });

  test('and says what is wrong with an input, at once and for nothing', async () => {
    expect(await execute('csv_parser', { csv: 'a', limit: -1 })).toMatchObject({
      status: 200,
      body: {
        success: false,
        result: null,
        error: 'Skill returned status 422',
        details: 'limit must be a whole number from 1 to 10000',
        attempts: 1,
      },
    });
    expect((await execute('google_search', {})).body).toMatchObject({ success: false, details: 'query is required' });
    for (const input of [{ query: '雲'.repeat(300) }, { query: 'a', site: 'a'.repeat(3_000) }])
      expect((await execute('google_search', input)).body).toMatchObject({ details: 'query is too long', attempts: 1 });
  });

  test('in a machine of its own, which everybody who calls shares', async () => {
    const replies = await Promise.all(
      Array.from({ length: 12 }, (_, index) => execute('csv_parser', { csv: `a\n${index}\n` })),
    );
    expect(replies.map(({ body }) => body.result?.data)).toEqual(replies.map((_, index) => [{ a: index }]));
    const machines = await machinesOf();
    expect(machines.map(({ purpose }) => purpose).toSorted()).toEqual(SKILLS.map((id) => `skill:${id}`).toSorted());
  });
});

test('the engine that does not answer is a timeout after three tries, and one that fails is not available', async () => {
  let asked = 0;
  answerSearch = () => void (asked += 1);
  expect(await execute('google_search', { query: 'a' })).toMatchObject({
    status: 504,
    body: { detail: 'Skill timeout' },
  });
  expect(asked).toBe(3);
  answerSearch = (_, response) => void response.writeHead(500).end();
  const failed = await execute('google_search', { query: 'a' });
  expect(failed).toMatchObject({ status: 503, body: { detail: 'Skill not available' } });
  expect(failed.headers.get('retry-after')).toMatch(/^\d+$/);
}, 120_000);

test('a process that is killed in its machine costs a caller no more than another try', async () => {
  const [before] = await machinesOf('csv_parser');
  process.kill(await servingProcess(before?.id ?? ''), 'SIGKILL');
  const { body } = await execute('csv_parser', { csv: 'a\n1\n' });
  expect(body).toMatchObject({ success: true, attempts: 2, result: { data: [{ a: 1 }] } });
  const after = await machinesOf('csv_parser');
  expect(after).toHaveLength(1);
  expect(after[0]?.id).not.toBe(before?.id);
}, 120_000);

test('health is told by asking the machines', async () => {
  expect((await get('/api/v1/skills/csv_parser/health')).body).toMatchObject({
    skill_id: 'csv_parser',
    skill_name: 'CSV Parser',
    healthy: true,
    status: 'ready',
  });
  const [machine] = await machinesOf('pdf_reader');
  const pid = await servingProcess(machine?.id ?? '');
  process.kill(pid, 'SIGSTOP');
  const { body } = await get('/api/v1/skills/health/summary');
  expect(body).toMatchObject({ total_skills: 5, healthy_skills: 4, health_percentage: 80 });
  expect(body.health_status.find(({ healthy }: { healthy: boolean }) => !healthy)).toMatchObject({
    skill_id: 'pdf_reader',
    status: 'failed',
  });
  expect((await get('/health/extended')).body).toMatchObject({ status: 'ok', skills: { healthy_skills: 4 } });
  process.kill(pid, 'SIGCONT');
  expect((await get('/health/extended')).body).toMatchObject({ skills: { healthy_skills: 5 } });
});

test('a server that is killed finds its skills again', async () => {
  const before = await machinesOf();
  await server.stop('SIGKILL');
  await start();
  expect((await execute('csv_parser', { csv: 'a\n1\n' })).body).toMatchObject({ success: true, attempts: 1 });
  expect((await machinesOf()).map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
}, 120_000);
