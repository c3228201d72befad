import { describe, expect, test } from 'vitest';
import { request, type Reply } from '../harness/agent.ts';
import { sandboxClient } from './client.ts';
import { readEvents, type Told } from './events.ts';

/** The sandbox routes as a client of the agents contract uses them, on real machines. */
const client = sandboxClient();
const { call, at, sh } = client;

describe('a sandbox', () => {
  test('is created, shown, listed and deleted', async () => {
    const { status, body } = await call('POST', '/v1/sandboxes', {
      name: 'web',
      vcpu: 2,
      memory_mb: 1_024,
      disk_gb: 2,
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      short_id: expect.stringMatching(/^sbx-[a-z][a-z0-9]{19}$/),
      name: 'web',
      status: 'running',
      terminal_url: `${client.server.url.replace('http', 'ws')}/v1/sandboxes/${body.id}/terminal`,
      vcpu: 2,
      memory_mb: 1_024,
      disk_gb: 2,
      region: 'local',
      price_per_hour_cents: 15,
      ends_at: null,
    });
    for (const reference of [body.id, body.short_id])
      expect((await call('GET', `/v1/sandboxes/${reference}`)).body).toEqual(body);
    const listed = await call('GET', '/v1/sandboxes');
    expect(listed.body.sandboxes.map((sandbox: { name: string }) => sandbox.name)).toEqual(['web', 'main']);
    expect((await call('DELETE', `/v1/sandboxes/${body.id}`)).body).toMatchObject({ success: true });
    expect(await call('GET', `/v1/sandboxes/${body.id}`)).toMatchObject({
      status: 404,
      body: { error: 'Sandbox not found' },
    });
  });

  test('is one and the same under an Idempotency-Key', async () => {
    const key = { 'idempotency-key': 'once' };
    const [first, second] = [
      await call('POST', '/v1/sandboxes', { name: 'once' }, key),
      await call('POST', '/v1/sandboxes', { name: 'once' }, key),
    ];
    expect(second.body).toEqual(first.body);
    await call('DELETE', `/v1/sandboxes/${first.body.id}`);
  });

  test('costs nothing where there is no money: 402', async () => {
    const poor = await client.server.agent();
    const reply = await request(client.server.url, 'POST', '/v1/sandboxes', { key: poor.key, body: {} });
    expect(reply).toMatchObject({ status: 402, body: { error: expect.stringContaining('Insufficient balance') } });
  });
});

describe('exec', () => {
  test('answers what a command printed and how it ended, in both spellings', async () => {
    expect(await sh('echo out; echo err >&2; exit 3')).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 3,
      exit_code: 3,
      timed_out: false,
    });
  });

  test('has the sandbox’s variables and its own, a directory, a user and input', async () => {
    const more = { env: { OWN: 'mine' }, cwd: '/tmp', stdin: 'given' };
    expect((await sh('echo $STAGE $OWN $PWD $(cat) $(whoami)', more)).stdout).toBe('test mine /tmp given user\n');
    expect((await sh('whoami; sudo whoami')).stdout).toBe('user\nroot\n');
    expect((await sh('whoami', { user: 'root' })).stdout).toBe('root\n');
  });

  test('kills what takes too long', async () => {
    expect(await sh('echo begun; sleep 60', { timeout: 0.5 })).toMatchObject({
      stdout: 'begun\n',
      exit_code: 124,
      timed_out: true,
    });
  });

  test('under an Idempotency-Key is run once', async () => {
    const body = { command: 'echo x >> once.txt; wc -l < once.txt' };
    const replies = [1, 2, 3].map(() => call('POST', at('/exec'), body, { 'idempotency-key': 'count' }));
    for (const { body: answer, status } of await Promise.all(replies))
      expect([200, 409]).toContain(answer.error ? status : 200);
    expect((await call('POST', at('/exec'), body, { 'idempotency-key': 'count' })).body.stdout).toBe('1\n');
  });

  test('under an Idempotency-Key goes on when its caller goes, and is joined by the next try', async () => {
    const body = JSON.stringify({
      command: 'echo x >> joined.txt; echo begun; sleep 1; cat - joined.txt',
      stdin: 'in\n',
    });
    const headers = { authorization: client.agent.key, 'content-type': 'application/json', 'idempotency-key': 'join' };
    const first = fetch(client.server.url + at('/exec'), {
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(400),
    });
    await expect(first).rejects.toThrow();
    let reply: Reply;
    do reply = await call('POST', at('/exec'), body, { 'idempotency-key': 'join' });
    while (reply.status === 409);
    expect(reply.body).toMatchObject({ stdout: 'begun\nin\nx\n', exitCode: 0, stdout_truncated: false });
  });

  test('says what is wrong in the document’s words', async () => {
    expect(await call('POST', at('/exec'), {})).toMatchObject({
      status: 400,
      body: { error: 'command is required and must be a string' },
    });
  });
});

test.each([
  ['python', 'print(6 * 7)', '42\n', 0],
  ['python', 'import sys; print("a"); sys.exit("b")', 'a\nb\n', 1],
  ['javascript', 'console.log([1, 2].map((n) => n * 2))', '[ 2, 4 ]\n', 0],
  ['bash', 'for n in 1 2; do echo $n; done', '1\n2\n', 0],
] as const)('%s code is run: %s', async (language, code, result, exitCode) => {
  expect((await call('POST', at('/code'), { code, language })).body).toMatchObject({ result, exitCode });
});

describe('a command in the background', () => {
  const start = async (command: string, more: object = {}): Promise<{ pid: number; stream_url: string }> =>
    (await call('POST', at('/runs'), { command, ...more })).body;
  const heard = async (path: string, until: (event: Told) => boolean = () => false) => {
    const told: Told[] = [];
    await readEvents(client.server.url + path, client.agent.key, (event) => {
      told.push(event);
      return !until(event);
    });
    return told;
  };
  const textOf = (told: Told[], stream: string) =>
    told.flatMap(({ event, data }) => (event === stream ? [data['text']] : [])).join('');

  test('is listed while it runs, and heard to its end from the beginning', async () => {
    const { pid, stream_url: stream } = await start('for n in 1 2 3; do echo $n; sleep 0.2; done; echo e >&2; exit 4', {
      tag: 'counter',
    });
    expect((await call('GET', at('/runs'))).body.runs).toContainEqual(
      expect.objectContaining({ pid, tag: 'counter', user: 'user', pty: false }),
    );
    const told = await heard(stream);
    expect([textOf(told, 'stdout'), textOf(told, 'stderr')]).toEqual(['1\n2\n3\n', 'e\n']);
    expect(told.at(-1)).toEqual({ event: 'exit', data: { exit_code: 4, signal: null, timed_out: false } });
    expect((await call('GET', at('/runs'))).body.runs).toEqual([]);
  });

  test('goes on when nobody listens, and is joined again where the listener stopped', async () => {
    const { stream_url: stream } = await start('for n in 1 2 3 4 5; do echo zeile-ä-$n; sleep 0.1; done');
    const first = await heard(stream, ({ event }) => event === 'stdout');
    const next = Number(first.at(-1)?.data['next']);
    const rest = await heard(`${stream}?stdout=${next}`);
    const text = textOf(first, 'stdout') + textOf(rest, 'stdout');
    expect(text).toBe('zeile-ä-1\nzeile-ä-2\nzeile-ä-3\nzeile-ä-4\nzeile-ä-5\n');
  });

  test('takes input, and signals', async () => {
    const { pid, stream_url: stream } = await start('read line; echo got $line; sleep 60', { stdin: true });
    expect(await call('POST', at(`/runs/${pid}/stdin`), { data: 'this\n' })).toMatchObject({ status: 200 });
    await heard(stream, ({ event }) => event === 'stdout');
    expect(await call('POST', at(`/runs/${pid}/signal`), { signal: 'KILL' })).toMatchObject({ status: 200 });
    expect((await heard(stream)).at(-1)).toMatchObject({ event: 'exit', data: { exit_code: null, signal: 9 } });
    expect(await call('POST', at(`/runs/${pid}/signal`), {})).toMatchObject({ status: 404 });
  });

  test('runs on a terminal of its own size', async () => {
    const { pid, stream_url: stream } = await start('read x; stty size', { pty: { cols: 80, rows: 24 }, stdin: true });
    expect(await call('POST', at(`/runs/${pid}/resize`), { cols: 100, rows: 30 })).toMatchObject({ status: 200 });
    await call('POST', at(`/runs/${pid}/stdin`), { data: '\n' });
    expect(textOf(await heard(stream), 'pty')).toContain('30 100');
  });
});

describe('rest', () => {
  test('keeps processes, and what needs the sandbox meanwhile is refused', async () => {
    const { body: run } = await call('POST', at('/runs'), {
      command: 'while :; do date +%s%N > tick; sleep 0.05; done',
    });
    expect((await call('POST', at('/pause'))).body).toMatchObject({ status: 'paused' });
    expect(await call('POST', at('/exec'), { command: 'true' })).toMatchObject({ status: 409 });
    expect(await call('POST', at('/pause'))).toMatchObject({ status: 409 });
    expect((await call('POST', at('/resume'))).body).toMatchObject({ status: 'running' });
    const [before, after] = [(await sh('cat tick')).stdout, (await sh('sleep 0.3; cat tick')).stdout];
    expect(after).not.toBe(before);
    expect((await call('GET', at('/runs'))).body.runs.map(({ pid }: { pid: number }) => pid)).toContain(run.pid);
    await call('POST', at(`/runs/${run.pid}/signal`), { signal: 'KILL' });
  });

  test('ends once under an Idempotency-Key, and is paid for once', async () => {
    const key = { 'idempotency-key': 'wake' };
    await call('POST', at('/pause'));
    const woken = await call('POST', at('/resume'), {}, key);
    await call('POST', at('/pause'));
    const again = await call('POST', at('/resume'), {}, key);
    expect(again).toMatchObject({ status: 200, body: woken.body });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await call('GET', at(''))).body).toMatchObject({ status: 'paused' });
    expect((await call('POST', at('/resume'))).body).toMatchObject({ status: 'running' });
  });

  test('without memory keeps the disk alone', async () => {
    await sh('echo kept > kept');
    await call('POST', at('/runs'), { command: 'sleep 600' });
    expect((await call('POST', at('/pause'), { keep_memory: false })).body).toMatchObject({ status: 'paused' });
    expect((await call('POST', at('/resume'))).body).toMatchObject({ status: 'running' });
    expect((await sh('cat kept')).stdout).toBe('kept\n');
    expect((await call('GET', at('/runs'))).body.runs).toEqual([]);
  });
});

describe('copies', () => {
  test('a snapshot is listed, begun from, and deleted', async () => {
    await sh('echo from the snapshot > origin.txt');
    const { body: snapshot } = await call('POST', at('/snapshots'), { name: 'ready' });
    expect((await call('GET', '/v1/snapshots?name=ready')).body.snapshots).toMatchObject([{ id: snapshot.id }]);
    const { body: copy } = await call('POST', '/v1/sandboxes', { template: 'ready' });
    const read = await call('GET', `/v1/sandboxes/${copy.id}/files?path=origin.txt`);
    expect(read.body.content).toBe('from the snapshot\n');
    expect(await call('DELETE', `/v1/snapshots/${snapshot.id}`)).toMatchObject({ status: 200 });
    expect((await call('GET', '/v1/snapshots')).body.snapshots).toEqual([]);
    expect((await call('GET', `/v1/sandboxes/${copy.id}/files?path=origin.txt`)).status).toBe(200);
    await call('DELETE', `/v1/sandboxes/${copy.id}`);
  });

  test('forks have the disk and lives of their own', async () => {
    await sh('echo parent > who');
    const { status, body } = await call('POST', at('/fork'), { count: 2 });
    expect([status, body.errors, body.sandboxes.length]).toEqual([201, [], 2]);
    const [one, two] = body.sandboxes;
    await call('POST', `/v1/sandboxes/${one.id}/exec`, { command: 'echo one > who' });
    const who = async (of: string) => (await call('GET', `/v1/sandboxes/${of}/files?path=who`)).body.content;
    expect([await who(client.id), await who(one.id), await who(two.id)]).toEqual(['parent\n', 'one\n', 'parent\n']);
    const machineIds = await Promise.all(
      [client.id, one.id, two.id].map(
        async (of) => (await call('POST', `/v1/sandboxes/${of}/exec`, { command: 'cat /etc/machine-id' })).body.stdout,
      ),
    );
    expect(new Set(machineIds).size).toBe(3);
    for (const sandbox of body.sandboxes) await call('DELETE', `/v1/sandboxes/${sandbox.id}`);
  });
});

test.each(['/ports', '/ports/expose'])('a port gets an address at %s, by body or query', async (path) => {
  const { short_id: shortId } = (await call('GET', at(''))).body;
  const code = shortId.slice('sbx-'.length);
  const { port } = new URL(client.server.url);
  const subdomain = `app${path.length}`;
  expect(await call('POST', at(`${path}?port=3000&subdomain=${subdomain}`))).toMatchObject({
    status: 201,
    body: {
      port: 3_000,
      public_url: `http://3000-${code}.apps.localhost:${port}`,
      custom_url: `http://${subdomain}.apps.localhost:${port}`,
      subdomain,
      visibility: 'public',
    },
  });
  expect((await call('POST', at(path), { port: 3_001, visibility: 'private' })).body).toMatchObject({
    subdomain: `3001-${code}`,
    access_token: expect.stringMatching(/^[0-9a-f]{40}$/),
  });
  expect((await call('GET', at('/ports'))).body.ports).toMatchObject([{}, { access_token: expect.any(String) }]);
  const looker = await call('POST', '/v1/keys', { name: 'looker', scopes: ['read'] });
  const seen = await request(client.server.url, 'GET', at('/ports'), { key: looker.body.key });
  expect(seen.body.ports.map((shown: object) => 'access_token' in shown)).toEqual([false, false]);
  for (const opened of [3_000, 3_001])
    expect(await call('DELETE', at(`/ports/${opened}`))).toMatchObject({ status: 200, body: { success: true } });
  expect(await call('POST', at(path), { port: 80, subdomain: 'www' })).toMatchObject({
    status: 409,
    body: { error: 'Subdomain unavailable' },
  });
  expect(await call('POST', at(path))).toMatchObject({ status: 400 });
});

test('what a sandbox used is told while it runs', async () => {
  // To an address for documentation, where nobody answers.
  const send = `s.sendto(bytes(1000), ('203.0.113.199', 9))`;
  const code = `import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor _ in range(300): ${send}`;
  expect((await call('POST', at('/code'), { code })).body).toMatchObject({ exit_code: 0 });
  await expect
    .poll(async () => (await call('GET', at('/metrics'))).body.metrics.at(-1), { timeout: 20_000, interval: 500 })
    .toSatisfy(
      (told) =>
        told?.cpu_seconds > 0 &&
        told.memory_bytes > 0 &&
        told.disk_total_bytes > told.disk_used_bytes &&
        told.network_sent_bytes > 300_000 &&
        told.network_received_bytes < told.network_sent_bytes,
    );
  expect((await call('GET', at('/metrics?start=1&end=2'))).body).toEqual({ metrics: [] });
});

test('time and money go by the platform’s clock, and the history explains every cent', async () => {
  const payer = await client.server.agent(100);
  const pay = (method: string, path: string, body?: unknown) =>
    request(client.server.url, method, path, { key: payer.key, body });
  const { body: sandbox } = await pay('POST', '/v1/sandboxes', { timeout_seconds: 7_200 });
  await request(client.server.url, 'POST', '/v1/admin/clock', {
    key: client.server.adminKey,
    body: { advance_seconds: 7_200 },
  });
  expect((await pay('GET', `/v1/sandboxes/${sandbox.id}`)).status).toBe(404);
  expect((await pay('GET', '/v1/credits/balance')).body).toEqual({ balance_cents: 90 });
  const { transactions } = (await pay('GET', '/v1/credits/history')).body;
  const sum = transactions.reduce((cents: number, one: { amount_cents: number }) => cents + one.amount_cents, 0);
  expect(sum).toBe(90);
  expect(new Set(transactions.map(({ type }: { type: string }) => type))).toEqual(
    new Set(['deposit', 'sandbox_charge']),
  );
});
