import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFakeGithub, type FakeGithub } from '../fakes/github.ts';
import { credit, eventually, request } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { prepareTestHost } from '../machines/host.ts';
import { PlatformFailure, ROUTES, StartFailed, StatusError, strictClient, type StrictClient } from './strict-client.ts';

const DATASET = 'starter';
const SAMPLE = 'starter__free-slots-2';
const NOWHERE = '01890000-0000-7000-8000-000000000000';
/** Where the vendor's client has it, and where its document has it. */
const BASES = ['/api/v1', ''];

let github: FakeGithub;
let server: TestServer;
beforeAll(async () => {
  await prepareTestHost();
  github = await startFakeGithub();
  const { clientId, clientSecret } = github.app();
  server = await testServer({
    GITHUB_CLIENT_ID: clientId,
    GITHUB_CLIENT_SECRET: clientSecret,
    FREEHOLD_GITHUB_URL: github.url,
    FREEHOLD_SIGNUP_BONUS_CENTS: '0',
  });
}, 900_000);
afterAll(async () => {
  await server.stop();
  await github.close();
});

const clientAt = (base: string, key?: string): StrictClient => strictClient(server.url + base, key, { pollMs: 100 });

/** Logs a person in, as the login page of the vendor's console would, and gives them money. */
async function person(base: string, cents = 100): Promise<{ token: string; client: StrictClient; userId: string }> {
  const id = Math.floor(Math.random() * 1e9);
  const code = github.codeFor({ id, login: `p${id}`, name: 'Ada', email: `p${id}@example.com` });
  const login = await clientAt(base).call('POST /auth/github', { body: { code, state: null } });
  if (cents > 0) await credit(server.url, server.adminKey, login.user_id, cents);
  return { token: login.refresh_token, client: clientAt(base, login.access_token), userId: login.user_id };
}

const refusal = (work: Promise<unknown>): Promise<StatusError> =>
  work.then(
    () => Promise.reject(new Error('It was not refused')),
    (error: unknown) => (error instanceof StatusError ? error : Promise.reject(error as Error)),
  );

describe.each(BASES)('a strict client at %j', (base) => {
  test('logs in, works on a sample and is told what it costs, by every route of the sheet', async () => {
    const { client: early, token, userId } = await person(base);
    const refreshed = await early.call('POST /auth/refresh', { body: { refresh_token: token } });
    expect(await clientAt(base, refreshed.access_token).call('GET /users/me')).toMatchObject({ user_id: userId });
    const made = await early.call('POST /users/me/api-keys', { body: { name: null } });
    const client = clientAt(base, made.key);
    const pollingAsUsual = strictClient(server.url + base, made.key);

    expect((await client.call('GET /health')).status).toBe('ok');
    expect((await clientAt(base).call('GET /datasets')).map(({ name }) => name)).toContain(DATASET);
    const all = await clientAt(base).call('GET /samples');
    expect(all).toMatchObject({ total_count: all.samples.length, has_more: false });
    const paged = await client.call('GET /samples', { query: { dataset: DATASET, page: 1, page_size: 3 } });
    expect(paged).toMatchObject({ page: 1, page_size: 3, has_more: true });
    expect((await client.call('GET /samples', { query: { search: 'free-slots' } })).samples).toHaveLength(1);
    const named = { dataset: DATASET, sample_id: SAMPLE };
    const archive = await client.call('GET /samples/{dataset}/{sample_id}/download', { path: named });
    expect([...archive.subarray(0, 2)]).toEqual([0x1f, 0x8b]);
    await clientAt(base).call('GET /billing/pricing');

    const session = await pollingAsUsual.create(DATASET, SAMPLE);
    const path = { session_id: session.session_id };
    expect(session).toMatchObject({ user_id: userId, sample_id: SAMPLE, container_info: { sample_id: SAMPLE } });
    expect(await client.exec(path.session_id, 'ls; echo said >&2; exit 3')).toMatchObject({
      exit_code: 3,
      stdout: 'slots.py\n',
      stderr: 'said\n',
      success: false,
    });
    const slow = await client.exec(path.session_id, 'echo begun; sleep 30', 1);
    expect(slow).toMatchObject({ exit_code: 124, stdout: 'begun\n', success: false });
    await replacesOnce(client, path);
    const job = await client.verify(path.session_id);
    expect(job).toMatchObject({ status: 'completed', session_id: path.session_id, result: { is_success: false } });
    expect(job.result?.total).toBe((job.result?.passed ?? 0) + (job.result?.failed ?? 0) + (job.result?.skipped ?? 0));

    const closed = await client.call('DELETE /sessions/{session_id}', { path });
    expect(closed.duration_seconds).toBeGreaterThan(0);
    const { sessions, total_count } = await client.call('GET /sessions');
    expect([sessions.map(({ status }) => status), total_count]).toEqual([['closed'], 1]);
    await paidFor(client);
    const revoked = await early.call('DELETE /users/me/api-keys', { body: { key_id: made.key_id } });
    expect(revoked.revoked_key_id).toBe(made.key_id);
    expect((await refusal(client.call('GET /users/me'))).status).toBe(401);
    expect([...new Set([...early.asked, ...client.asked, ...pollingAsUsual.asked, ...PUBLIC])].toSorted()).toEqual(
      ROUTES.toSorted(),
    );
  }, 170_000);

  test('is refused in words or, where its input is wrong, in FastAPI’s shape', async () => {
    const { client } = await person(base, 0);
    const sent = { dataset: DATASET, sample_id: SAMPLE };
    const path = { session_id: NOWHERE, interaction_id: NOWHERE, job_id: NOWHERE };
    const said = async (work: Promise<unknown>) => {
      const { status, detail } = await refusal(work);
      return typeof detail === 'string' ? status : [status, ...detail.map(({ loc, type }) => [...loc, type].join('.'))];
    };
    expect(await said(clientAt(base).call('GET /users/me'))).toBe(401);
    expect(await said(clientAt(base).call('POST /auth/github', { body: { code: 'made-up' } }))).toBe(401);
    expect(await said(client.call('POST /sessions', { body: sent }))).toBe(402);
    expect(await said(client.call('POST /sessions', { body: { ...sent, sample_id: 'none' } }))).toBe(404);
    expect(await said(client.call('POST /sessions', { body: { dataset: DATASET, ttl_minutes: 0 } }))).toEqual([
      422,
      'body.sample_id.missing',
      'body.ttl_minutes.greater_than_equal',
    ]);
    for (const name of ROUTES.filter((one) => one.includes('{session_id}')))
      expect([name, await said(client.call(name, { path, body: BODIES[name] }))]).toEqual([name, 404]);
    expect(await said(client.call('GET /samples', { query: { page: 0 } }))).toEqual([
      422,
      'query.page.greater_than_equal',
    ]);
    expect(await said(client.call('POST /billing/deposit', { body: { amount_cents: 499 } }))).toEqual([
      422,
      'body.amount_cents.greater_than_equal',
    ]);
  });

  test('pages through its sessions, newest first, and knows from each page how many there are', async () => {
    const { client } = await person(base);
    const opened: string[] = [];
    for (let n = 0; n < 3; n++) {
      const body = { dataset: DATASET, sample_id: SAMPLE, ttl_minutes: 5 };
      const { session_id } = await client.call('POST /sessions', { body });
      await client.call('DELETE /sessions/{session_id}', { path: { session_id } });
      opened.unshift(session_id);
    }
    const page = async (query?: { page?: number; page_size?: number }) => {
      const reply = await client.call('GET /sessions', { query });
      return [reply.sessions.map(({ session_id }) => opened.indexOf(session_id)), reply.total_count, reply.has_more];
    };
    expect(await page()).toEqual([[0, 1, 2], 3, false]);
    expect(await page({ page: 1, page_size: 2 })).toEqual([[0, 1], 3, true]);
    expect(await page({ page: 2, page_size: 2 })).toEqual([[2], 3, false]);
    expect(await page({ page: 3, page_size: 2 })).toEqual([[], 3, false]);
    expect(await page({ page: 2 })).toEqual([[], 3, false]);
    expect((await refusal(client.call('GET /sessions', { query: { page_size: 101 } }))).status).toBe(422);
  });

  test('is not left waiting: a start that fails is an error, and a machine that is lost is raised', async () => {
    const { client } = await person(base, 1);
    // A cent pays the first minute of four; the fifth is refused when its machine is there.
    const started = await Promise.allSettled(Array.from({ length: 5 }, () => client.create(DATASET, SAMPLE, 5)));
    const ready = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = started.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
    expect([ready.length, failed.length]).toEqual([4, 1]);
    expect(failed[0]).toSatisfy((error) => error instanceof StartFailed || error instanceof StatusError);
    const [session] = ready;
    const running = client.exec(session?.session_id ?? '', 'sleep 100');
    const ended = running.catch((error: unknown) => error);
    await eventually(
      () =>
        server.db.query(`select 1 from env_interactions where session_id = $1 and started_at is not null`, [
          session?.session_id,
        ]),
      (rows) => rows.length === 1,
    );
    const machine = session?.container_info?.container_name;
    await server.db.query(`update machines set lease_until = now() - interval '1 minute' where id = $1`, [machine]);
    await request(server.url, 'POST', '/v1/admin/machines/sweep', { key: server.adminKey, body: {} });
    expect(await ended).toBeInstanceOf(PlatformFailure);
    for (const { session_id } of ready) await client.call('DELETE /sessions/{session_id}', { path: { session_id } });
  }, 170_000);
});

/** Asked by clients without a key. */
const PUBLIC = ['POST /auth/github', 'GET /datasets', 'GET /billing/pricing'] as const;
/** What a route needs to be asked at all. */
const BODIES: Record<string, object> = {
  'POST /sessions/{session_id}/exec': { command: 'true' },
  'POST /sessions/{session_id}/str_replace': { file_path: 'a', str_to_replace: 'b', str_to_insert: 'c' },
};

/** Where it is there once; not where it is not there, or several times. */
async function replacesOnce(client: StrictClient, path: { session_id: string }): Promise<void> {
  const replace = (str_to_replace: string) =>
    client.call('POST /sessions/{session_id}/str_replace', {
      path,
      body: { file_path: 'slots.py', str_to_replace, str_to_insert: 'if start - at >= minutes:' },
    });
  expect((await replace('if start - at > minutes:')).success).toBe(true);
  expect((await replace('if start - at > minutes:')).success).toBe(false);
  expect((await replace('start')).success).toBe(false);
}

async function paidFor(client: StrictClient): Promise<void> {
  const balance = await client.call('GET /billing/balance');
  const usage = await client.call('GET /billing/usage', { query: { page: 1, limit: 25 } });
  expect(balance.total_spent).toBeGreaterThan(0);
  expect(balance.balance).toBe(balance.total_deposited - balance.total_spent);
  expect([usage.current_balance_cents, usage.total_usage_cents]).toEqual([balance.balance, balance.total_spent]);
  expect((await refusal(client.call('POST /billing/deposit', { body: { amount_cents: 500 } }))).status).toBe(503);
  const event = { id: 'evt_1', type: 'checkout.session.completed' };
  expect((await refusal(client.call('POST /billing/webhook', { body: event }))).status).toBe(503);
}
