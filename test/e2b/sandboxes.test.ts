import {
  AuthenticationError,
  NotFoundError,
  Sandbox,
  SandboxError,
  SandboxNotFoundError,
  type SandboxInfo,
  type SandboxListOpts,
} from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOUR, MINUTE, SECOND } from '../../src/kernel/time.ts';
import { credit, eventually, request } from '../harness/agent.ts';
import { accessOf, startClient, type Client } from './client.ts';

let client: Client;
/** One that the tests look at and leave as it is. */
let sandbox: Sandbox;
beforeAll(async () => {
  client = await startClient({ FREEHOLD_TEST_CLOCK: 'on' });
  sandbox = await client.create({ metadata: { of: 'everybody' }, timeoutMs: HOUR, envs: { COLOUR: 'blue' } });
});
afterAll(() => client?.stop());

const balance = async () => {
  const { body } = await request(client.server.url, 'GET', '/v1/credits/balance', { key: client.agent.key });
  return body.balance_cents as number;
};
const advance = (milliseconds: number) => client.advance(milliseconds);
const listed = async (options: SandboxListOpts = {}): Promise<SandboxInfo[]> =>
  Sandbox.list({ ...client.access, ...options }).nextItems();

describe('a new sandbox', () => {
  test('is named, described and ready at once', async () => {
    expect(sandbox.sandboxId).toMatch(/^[a-z][a-z0-9]{19}$/);
    expect(await sandbox.isRunning()).toBe(true);
    expect((await sandbox.commands.run('echo $COLOUR')).stdout).toBe('blue\n');
    const info = await sandbox.getInfo();
    expect(info).toMatchObject({
      sandboxId: sandbox.sandboxId,
      templateId: 'base',
      name: 'base',
      metadata: { of: 'everybody' },
      state: 'running',
      lifecycle: { onTimeout: 'kill', autoResume: false },
    });
    expect(info.endAt.getTime() - info.startedAt.getTime()).toBe(HOUR);
  });

  test('tells nobody without a key, and every key of its account the same', async () => {
    await expect(Sandbox.create({ ...client.access, apiKey: 'e2b_00' })).rejects.toBeInstanceOf(AuthenticationError);
    const ours = { ...client.access, apiKey: client.agent.key };
    expect((await Sandbox.getInfo(sandbox.sandboxId, ours)).sandboxId).toBe(sandbox.sandboxId);
  });

  test('of a template that is not there is refused in words', async () => {
    await expect(client.create({ template: 'code-interpreter-v9' })).rejects.toThrow(/code-interpreter-v9|emplate/);
  });

  test.each([
    ['iam', { iam: { tokens: { x: { audience: 'y', tokenType: 'z' } } } }],
    ['mcp', { mcp: { server: {} } }],
    ['volumeMounts', { volumeMounts: [{ name: 'v', path: '/v' }] }],
  ])('with %s is refused by that name', async (name, body) => {
    const reply = await request(client.server.url, 'POST', '/e2b/api/v2/sandboxes', {
      key: client.agent.key,
      body: { templateID: 'base', ...body },
    });
    expect(reply).toMatchObject({
      status: 400,
      body: { code: 400, message: `${name} is not supported by this server` },
    });
  });

  test('may leave all of that empty', async () => {
    const create = (body: unknown) =>
      request(client.server.url, 'POST', '/e2b/api/sandboxes', { key: client.agent.key, body });
    const { status, body } = await create({
      templateID: 'base',
      mcp: null,
      volumeMounts: [],
      network: { rules: {}, httpsPorts: [], allowOut: ['10.9.0.0/16'], denyOut: ['0.0.0.0/0'] },
      secure: true,
      timeout: 60,
    });
    expect([status, body.envdVersion, body.alias]).toEqual([201, '0.6.4', 'base']);
    expect(await Sandbox.kill(body.sandboxID, client.access)).toBe(true);
  });

  test.each([
    ['/v2/sandboxes', 5 * MINUTE],
    ['/sandboxes', 15 * SECOND],
  ])('that is asked for at %s without saying how long lives for %i ms', async (path, lifetime) => {
    const { body } = await request(client.server.url, 'POST', `/e2b/api${path}`, {
      key: client.agent.key,
      body: { templateID: 'base' },
    });
    const { startedAt, endAt } = await Sandbox.getInfo(body.sandboxID, client.access);
    expect(endAt.getTime() - startedAt.getTime()).toBe(lifetime);
    await Sandbox.kill(body.sandboxID, client.access);
  });

  test.each([
    ['a domain without a wall around it', { allowOut: ['*.example.com'] }, /0\.0\.0\.0\/0 in denyOut/],
    ['a denied domain', { denyOut: ['example.com'] }, /denyOut must hold IP/],
    ['every domain', { allowOut: ['*'], denyOut: ['0.0.0.0/0'] }, /allowOut must hold/],
    ['a token that nobody has', { rules: { 'a.example': headersOf('x', '${e2b.identity.tokens.aws}') } }, /iam/],
    ['a changed host', { rules: { 'a.example': headersOf('Host', 'b.example') } }, /must not set host/],
    ['a split header', { rules: { 'a.example': headersOf('x', 'a\r\nb: c') } }, /that HTTP can carry/],
    ['a proxy inside', { egressProxy: { address: '10.0.0.1:1080' } }, /public address/],
    ['a proxy that is ours', { egressProxy: { address: '127.0.0.1:1080' } }, /public address/],
    ['a password of nobody', { egressProxy: { address: '1.1.1.1:1080', password: 'x' } }, /needs a username/],
    ['the port of the daemon', { httpsPorts: [49_983] }, /must not be 49983/],
  ])('does not start with %s', async (_, network, message) => {
    const reply = await request(client.server.url, 'POST', '/e2b/api/v2/sandboxes', {
      key: client.agent.key,
      body: { templateID: 'base', network },
    });
    expect(reply).toMatchObject({ status: 400, body: { code: 400, message: expect.stringMatching(message) } });
  });

  test('that resumes by traffic must be paused at its timeout', async () => {
    const body = { templateID: 'base', autoResume: { enabled: true } };
    expect(
      await request(client.server.url, 'POST', '/e2b/api/v2/sandboxes', { key: client.agent.key, body }),
    ).toMatchObject({ status: 400, body: { code: 400 } });
  });
});

describe('the list', () => {
  test('pages from the newest, both states, with no token on the last page', async () => {
    const metadata = { group: 'pages' };
    const [first, second] = [await client.create({ metadata }), await client.create({ metadata })];
    await first.pause();
    const page = Sandbox.list({ ...client.access, query: { metadata }, limit: 1 });
    const ids = [];
    while (page.hasNext) ids.push(...(await page.nextItems()).map(({ sandboxId, state }) => [sandboxId, state]));
    expect(ids).toEqual([
      [second.sandboxId, 'running'],
      [first.sandboxId, 'paused'],
    ]);
    const old = await request(client.server.url, 'GET', '/e2b/api/sandboxes?metadata=group%3Dpages', {
      key: client.agent.key,
    });
    expect(old.body.map(({ sandboxID }: { sandboxID: string }) => sandboxID)).toEqual([second.sandboxId]);
    const oldestFirst = await listed({ query: { metadata }, order: 'asc' });
    expect(oldestFirst.map(({ sandboxId }) => sandboxId)).toEqual([first.sandboxId, second.sandboxId]);
    const running = await listed({ query: { metadata, state: ['running'] } });
    expect(running.map(({ sandboxId }) => sandboxId)).toEqual([second.sandboxId]);
    const { startedAt } = await second.getInfo();
    const since = await listed({ query: { metadata, startedAfter: startedAt } });
    expect(since.map(({ sandboxId }) => sandboxId)).toEqual([second.sandboxId]);
    await Promise.all([first.kill(), second.kill()]);
  });

  test('filters by metadata that needs encoding, and by template', async () => {
    const metadata = { 'a key & more': 'x=1&y=2 %20 ü' };
    const other = await client.create({ metadata });
    expect((await listed({ query: { metadata } })).map(({ sandboxId }) => sandboxId)).toEqual([other.sandboxId]);
    expect(await listed({ query: { metadata: { 'a key & more': 'x' } } })).toEqual([]);
    expect((await listed({ query: { template: 'base' } })).length).toBeGreaterThan(1);
    expect(await listed({ query: { template: 'other' } })).toEqual([]);
    const plain = await request(client.server.url, 'GET', '/e2b/api/sandboxes?metadata=of%3Deverybody', {
      key: client.agent.key,
    });
    expect(plain.body.map(({ sandboxID }: { sandboxID: string }) => sandboxID)).toEqual([sandbox.sandboxId]);
    await other.kill();
  });

  test.each(['a=%00', 'a=%2500', '%00=a', 'a=%25ff', '%'])(
    'refuses the filter %s, which nothing can have',
    async (pairs) => {
      for (const path of ['/e2b/api/v2/sandboxes', '/e2b/api/sandboxes']) {
        const asked = `${path}?metadata=${encodeURIComponent(pairs)}`;
        const { status, body } = await request(client.server.url, 'GET', asked, { key: client.agent.key });
        expect([status, body]).toEqual([400, { code: 400, message: expect.stringContaining('metadata') }]);
      }
    },
  );
});

describe('connecting', () => {
  test('gives the same sandbox with the same token, and never shortens its life', async () => {
    const { endAt } = await sandbox.getInfo();
    const again = await Sandbox.connect(sandbox.sandboxId, { ...client.access, timeoutMs: MINUTE });
    await again.files.write('mark', 'here');
    expect(await sandbox.files.read('mark')).toBe('here');
    expect((await again.getInfo()).endAt).toEqual(endAt);
    await Sandbox.connect(sandbox.sandboxId, { ...client.access, timeoutMs: 2 * HOUR });
    expect((await sandbox.getInfo()).endAt.getTime()).toBeGreaterThan(endAt.getTime());
  });

  test('answers the older spellings as well', async () => {
    const post = (path: string, body?: unknown) =>
      request(client.server.url, 'POST', `/e2b/api/sandboxes/${sandbox.sandboxId}${path}`, {
        key: client.agent.key,
        body,
      });
    expect((await post('/connect', { timeout: 60 })).status).toBe(200);
    expect((await post('/resume')).status).toBe(409);
    expect((await post('/refreshes', { duration: 60 })).status).toBe(204);
    expect((await post('/refreshes')).status).toBe(204);
    expect((await post('/timeout', { timeout: 7_200 })).status).toBe(204);
    expect((await post('/timeout', {})).status).toBe(400);
    expect((await post('/timeout', { timeout: -1 })).status).toBe(400);
  });
});

describe('the end of a sandbox', () => {
  test('comes when it is killed, once, and then it is gone for everything', async () => {
    const doomed = await client.create();
    expect(await doomed.kill()).toBe(true);
    expect(await doomed.kill()).toBe(false);
    expect(await doomed.isRunning()).toBe(false);
    await expect(doomed.getInfo()).rejects.toBeInstanceOf(SandboxNotFoundError);
    await expect(doomed.setTimeout(MINUTE)).rejects.toBeInstanceOf(NotFoundError);
    await expect(Sandbox.connect(doomed.sandboxId, client.access)).rejects.toBeInstanceOf(NotFoundError);
    await expect(doomed.commands.run('true')).rejects.toThrow();
  });

  test('is told to whoever waits for a command in it', async () => {
    const doomed = await client.create();
    const running = doomed.commands.run('echo started; sleep 60');
    const failure = running.catch((error: unknown) => error);
    await eventually(
      () => doomed.commands.list(),
      (processes) => processes.length > 0,
    );
    await doomed.kill();
    expect(String(await failure)).toMatch(/killed or reached its end of life|not running anymore/);
  });

  test('comes at its timeout, which may be set anew', async () => {
    const [short, long] = [
      await client.create({ timeoutMs: 10 * MINUTE }),
      await client.create({ timeoutMs: 10 * MINUTE }),
    ];
    await long.setTimeout(30 * MINUTE);
    await short.setTimeout(5 * MINUTE);
    await advance(6 * MINUTE);
    await expect(short.getInfo()).rejects.toBeInstanceOf(SandboxNotFoundError);
    expect((await long.getInfo()).state).toBe('running');
    await long.kill();
  });
});

describe('whose sandbox it is', () => {
  test('is decided by the account of the key: another’s does not exist', async () => {
    const stranger = await client.server.agent(100);
    const theirs = await accessOf(stranger);
    const { sandboxId } = sandbox;
    await expect(Sandbox.getInfo(sandboxId, theirs)).rejects.toBeInstanceOf(SandboxNotFoundError);
    expect(await Sandbox.kill(sandboxId, theirs)).toBe(false);
    await expect(Sandbox.connect(sandboxId, theirs)).rejects.toBeInstanceOf(NotFoundError);
    await expect(Sandbox.pause(sandboxId, theirs)).rejects.toBeInstanceOf(NotFoundError);
    await expect(Sandbox.createSnapshot(sandboxId, theirs)).rejects.toBeInstanceOf(NotFoundError);
    await expect(Sandbox.fork(sandboxId, theirs)).rejects.toBeInstanceOf(NotFoundError);
    expect(await Sandbox.list(theirs).nextItems()).toEqual([]);
    expect(await sandbox.isRunning()).toBe(true);
  });

  test('a key does what its scopes say: reads, writes, and enters only where it may execute', async () => {
    const [reader, writer] = [await accessOf(client.agent, ['read']), await accessOf(client.agent, ['write'])];
    expect((await Sandbox.getInfo(sandbox.sandboxId, reader)).state).toBe('running');
    await expect(Sandbox.create(reader)).rejects.toThrow(/403.*requires 'write' scope/);
    await expect(Sandbox.kill(sandbox.sandboxId, reader)).rejects.toBeInstanceOf(SandboxError);
    const connected = await Sandbox.connect(sandbox.sandboxId, writer);
    await expect(connected.commands.run('id')).rejects.toBeInstanceOf(AuthenticationError);
    for (const key of [reader.apiKey, writer.apiKey]) {
      const { body } = await request(client.server.url, 'GET', `/e2b/api/sandboxes/${sandbox.sandboxId}`, { key });
      expect([body.state, body.envdAccessToken]).toEqual(['running', undefined]);
    }
  });
});

describe('what it costs', () => {
  test('is charged like every other machine, from the first second, and proved by the ledger', async () => {
    const before = await balance();
    const paid = await client.create({ timeoutMs: 3 * HOUR });
    await advance(HOUR);
    expect((await paid.getInfo()).state).toBe('running');
    await paid.kill();
    // The shared one runs as well.
    const spent = before - (await balance());
    expect(spent).toBeGreaterThanOrEqual(9);
    expect(spent).toBeLessThanOrEqual(12);
    const proof = await request(client.server.url, 'GET', '/v1/admin/ledger/reconcile', {
      key: client.server.adminKey,
    });
    expect(proof).toMatchObject({ status: 200, body: { currencies: { USD: { valid: true } } } });
  });

  test('must be there: without money there is no sandbox, and nothing has changed', async () => {
    const poor = await client.server.agent();
    const access = await accessOf(poor);
    await expect(Sandbox.create(access)).rejects.toThrow(/402/);
    expect(await Sandbox.list(access).nextItems()).toEqual([]);
    await credit(client.server.url, client.server.adminKey, poor.accountId, 100);
    const rich = await Sandbox.create(access);
    expect(await rich.kill()).toBe(true);
  });

  test('is paid once under an Idempotency-Key, for one sandbox', async () => {
    const create = () =>
      request(client.server.url, 'POST', '/e2b/api/v2/sandboxes', {
        key: client.agent.key,
        body: { templateID: 'base', metadata: { once: 'only' } },
        headers: { 'idempotency-key': 'one-sandbox' },
      });
    const [first, again] = [await create(), await create()];
    expect([first.status, again.body]).toEqual([201, first.body]);
    expect(await listed({ query: { metadata: { once: 'only' } } })).toHaveLength(1);
    await Sandbox.kill(first.body.sandboxID, client.access);
  });
});

test('a sandbox has a log of what happened to it', async () => {
  const get = (path: string) => request(client.server.url, 'GET', `/e2b/api${path}`, { key: client.agent.key });
  const { body } = await get(`/v2/sandboxes/${sandbox.sandboxId}/logs`);
  expect(body.logs[0]).toMatchObject({ level: 'info', message: 'Sandbox started', fields: { template: 'base' } });
  expect((await get(`/v2/sandboxes/${sandbox.sandboxId}/logs?level=error`)).body).toEqual({ logs: [] });
  const paused = await client.create();
  await paused.pause();
  const sought = await get(`/v2/sandboxes/${paused.sandboxId}/logs?limit=1&search=paused`);
  expect(sought.body).toMatchObject({ logs: [{ message: 'Sandbox paused' }] });
  const backward = await get(`/v2/sandboxes/${paused.sandboxId}/logs?direction=backward`);
  expect(backward.body.logs.map(({ message }: { message: string }) => message)).toEqual([
    'Sandbox paused',
    'Sandbox started',
  ]);
  const from = Date.parse(backward.body.logs[0].timestamp);
  expect((await get(`/v2/sandboxes/${paused.sandboxId}/logs?cursor=${from}`)).body).toMatchObject(sought.body);
  await paused.kill();
  const old = await get(`/sandboxes/${sandbox.sandboxId}/logs?limit=1`);
  expect(old.body.logs).toEqual([{ timestamp: expect.any(String), line: 'Sandbox started' }]);
});

test('the contract says that it is well to anybody', async () => {
  expect(await request(client.server.url, 'GET', '/e2b/api/health')).toMatchObject({
    status: 200,
    body: { status: 'ok' },
  });
});

const headersOf = (name: string, value: string) => [{ transform: { headers: { [name]: value } } }];
