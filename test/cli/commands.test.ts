import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { eventually, request } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { start } from './freehold.ts';

const PATIENCE_MS = 180_000;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

let server: TestServer;
let home: string;
let credentials: string;
let account: { api_key: string; account_id: string; name: string };

/** The agent that registered with the command line, with the admin key at hand. */
const open = (args: string[], input?: string) =>
  start(args, { HOME: home, FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: server.adminKey }, input);
const freehold = (args: string[], input?: string) => open(args, input).ended;

/** What a command prints that goes well. */
async function printed(...args: string[]): Promise<string> {
  const { code, out, err } = await freehold(args);
  expect({ args, code, err }).toEqual({ args, code: 0, err: '' });
  return out;
}
const json = async (...args: string[]) => JSON.parse(await printed(...args, '--json'));
const failed = (sentence: string) => ({ code: 1, out: '', err: `freehold: ${sentence}\n` });
const script = (code: string): string => `Do this in the shell.\n\n\`\`\`sh\n${code}\n\`\`\`\n`;

beforeAll(async () => {
  server = await testServer();
  home = await mkdtemp(path.join(tmpdir(), 'freehold-cli-'));
  credentials = path.join(home, '.config/freehold/credentials.json');
  const { code, out, err } = await freehold(['register', '--name', 'line agent']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('Registered line agent.');
  account = JSON.parse(await readFile(credentials, 'utf8')).servers[server.url];
  expect(out).toContain(account.account_id);
  expect(out).not.toContain(account.api_key);
  await printed('admin', 'credit', account.account_id, '500');
}, PATIENCE_MS);
afterAll(async () => {
  await server.stop();
  await rm(home, { recursive: true, force: true });
});

describe('registration', () => {
  test('keeps the key where only its owner can read it', async () => {
    expect((await stat(credentials)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(credentials))).mode & 0o777).toBe(0o700);
  });

  test('does not forget a key that is kept already unless told to, and keeps those of other servers', async () => {
    const other = await mkdtemp(path.join(tmpdir(), 'freehold-cli-'));
    try {
      const file = path.join(other, 'freehold/credentials.json');
      const register = (name: string, url: string, ...more: string[]) =>
        start(['register', '--name', name, '--url', url, ...more], { XDG_CONFIG_HOME: other }).ended;
      const kept = async () => JSON.parse(await readFile(file, 'utf8')).servers;
      const alias = server.url.replace('127.0.0.1', 'localhost');
      await register('first', server.url);
      await register('second', alias);
      const before = await kept();
      expect(await register('third', server.url)).toEqual(
        failed(
          `The key of account ${before[server.url].account_id} on ${server.url} is kept here already: \`--replace\` forgets it for good.`,
        ),
      );
      expect(await kept()).toEqual(before);
      expect((await register('third', `${server.url}/`, '--replace')).code).toBe(0);
      const after = await kept();
      expect(after[server.url].name).toBe('third');
      expect(after[alias]).toEqual(before[alias]);
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });
});

describe('the account', () => {
  test('is shown, with what it can spend and why', async () => {
    expect(await printed('whoami')).toMatch(new RegExp(`account\\s+${account.account_id}\nname\\s+line agent\n`));
    expect(await printed('balance')).toMatch(/^\$\d\.\d\d\n$/);
    expect(await printed('history')).toMatch(/deposit +\$5\.00 +\$5\.00 +Admin top-up/);
    expect((await json('history', '--limit', '1')).transactions).toHaveLength(1);
    expect(await printed('models')).toMatch(/^SLUG .*\n(.*\n)*script /);
  });

  test('FREEHOLD_API_KEY comes before the key that is kept', async () => {
    const other = await server.agent();
    const env = { HOME: home, FREEHOLD_URL: server.url, FREEHOLD_API_KEY: other.key };
    expect((await start(['whoami'], env).ended).out).toContain(other.accountId);
    expect(await start(['whoami'], { ...env, FREEHOLD_API_KEY: 'bod_live_0' }).ended).toEqual(
      failed('Invalid API key (the key is from FREEHOLD_API_KEY).'),
    );
  });

  test('--json is the reply as it came, also in front of the command', async () => {
    const { body } = await request(server.url, 'GET', '/v1/account', { key: account.api_key });
    expect(await printed('--json', 'whoami')).toBe(`${JSON.stringify(body)}\n`);
  });

  test('a claim link is printed alone, with its warning beside it', async () => {
    const { code, out, err } = await freehold(['claim-link']);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^${server.url}/claim#\\S+\n$`));
    expect(err).toContain('Whoever has it can claim the account.');
  });
});

test('a key is shown once when it is made, does what its scopes say, and opens nothing once revoked', async () => {
  const out = await printed('keys', 'create', '--name', 'reader', '--scope', 'read', '--scope', 'exec');
  const key = /bod_live_[0-9a-f]{32}/.exec(out)?.[0] ?? '';
  const id = UUID.exec(out)?.[0] ?? '';
  const asReader = (...args: string[]) =>
    start(args, { HOME: home, FREEHOLD_URL: server.url, FREEHOLD_API_KEY: key }).ended;
  expect((await asReader('balance')).code).toBe(0);
  expect(await asReader('keys', 'create', '--name', 'wider')).toEqual(
    failed("Insufficient permissions: requires 'write' scope."),
  );
  const listed = await printed('keys', 'list');
  expect(listed).toMatch(new RegExp(`${id} +reader +bod_live_[0-9a-f]{8}… +read, exec `));
  expect(listed).not.toContain(key);
  expect(await printed('keys', 'revoke', id)).toBe(`Key ${id} is revoked.\n`);
  expect((await asReader('balance')).code).toBe(1);
  expect(await freehold(['keys', 'revoke', 'nonsense'])).toEqual(failed('API key not found.'));
});

describe('a task', () => {
  test(
    'is followed to its end: the result is the output, steps and receipt stand beside it',
    async () => {
      const { code, out, err } = await freehold(
        ['task', 'run', '-', '--model', 'script', '--budget', '40'],
        script('echo "the answer is $((6 * 7))"'),
      );
      expect({ code, out }).toEqual({ code: 0, out: 'the answer is 42\n' });
      const id = UUID.exec(err)?.[0] ?? '';
      expect(err).toContain(`Task ${id}, $0.40 reserved`);
      expect(err).toMatch(/run_command +exit code 0\n +\$ echo "the answer is \$\(\(6 \* 7\)\)"\n +the answer is 42\n/);
      expect(err).toMatch(/succeeded\n\nreserved +\$0\.40\n(.*\n)*spent +\$0\.01 .*\nreturned +\$0\.39\n/);
      expect(await printed('task', 'show', id)).toMatch(/status +succeeded\n(.*\n)*the answer is 42\n$/);
      expect(await printed('task', 'list')).toMatch(new RegExp(`${id} +succeeded +\\$0\\.01 +\\$0\\.40 +script `));
      const steps = await freehold(['task', 'steps', id]);
      expect(steps.out).toContain('     the answer is 42\n');
      expect((await json('task', 'steps', id, '--limit', '1')).steps).toHaveLength(1);
    },
    PATIENCE_MS,
  );

  test(
    'that fails ends with 1 and the reason, also for a program',
    async () => {
      const { code, out, err } = await freehold(['task', 'run', script('echo half; exit 3'), '--json']);
      expect(code).toBe(1);
      expect(err).toBe('freehold: The task failed: The shell block ended with exit code 3.\n');
      expect(JSON.parse(out)).toMatchObject({ status: 'failed', result: { text: 'half' } });
    },
    PATIENCE_MS,
  );

  test(
    'is left running by an interrupt, which tells how to find it; cancelling it gives the rest back',
    async () => {
      const { child, ended } = open(['task', 'run', script('echo begun; sleep 300')]);
      await lineOf(child.stderr!, 'running');
      child.kill('SIGINT');
      const { code, err } = await ended;
      expect(code).toBe(130);
      const id = UUID.exec(err)?.[0] ?? '';
      expect(err).toContain(
        `The task goes on: see \`freehold task show ${id}\`, stop it with \`freehold task cancel ${id}\`.`,
      );
      expect((await json('task', 'show', id)).status).toBe('running');
      expect(await printed('task', 'cancel', id)).toBe(`Task ${id} is cancelled.\n`);
      expect(await freehold(['task', 'cancel', id])).toEqual(failed('The task has already ended.'));
      expect(await printed('task', 'show', id)).toMatch(/returned +\$0\.99\n\nThe task was cancelled\.\n/);
    },
    PATIENCE_MS,
  );

  test(
    'is followed through moments in which its server is away or refuses',
    async () => {
      const flaky = await startFlaky(server.url, ['pass', 'refuse', 'drop', 'pass', 'refuse']);
      const env = { FREEHOLD_URL: flaky.url, FREEHOLD_API_KEY: account.api_key };
      const { code, out } = await start(['task', 'run', script('echo still here')], env).ended;
      expect({ code, out }).toEqual({ code: 0, out: 'still here\n' });
      expect(flaky.left()).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    'that nobody waits for prints its id, and is the same one under the same idempotency key',
    async () => {
      const args = ['task', 'run', script('true'), '--no-follow', '--idempotency-key', 'once'];
      const id = (await printed(...args)).trim();
      expect(id).toMatch(new RegExp(`^${UUID.source}$`));
      expect((await printed(...args)).trim()).toBe(id);
      await eventually(
        () => json('task', 'show', id),
        (task) => task.completed_at !== null,
      );
    },
    PATIENCE_MS,
  );

  test.each([
    [['run', 'short'], 'prompt must be at least 10 characters.'],
    [['run', 'long enough for it', '--budget', '9999'], 'Insufficient balance to reserve task budget.'],
    [['run', 'long enough for it', '--model', 'nobody'], 'model_slug is not available: nobody.'],
    [['show', 'x/../../admin'], 'Task not found.'],
    [['steps', 'x'], 'Task not found.'],
    [['cancel', 'x'], 'Task not found.'],
  ])('%j is refused in one sentence', async (args, sentence) => {
    expect(await freehold(['task', ...args])).toEqual(failed(sentence));
  });
});

describe('the operator', () => {
  test('credits and debits in both currencies', async () => {
    const { accountId } = await server.agent();
    const credit = ['admin', 'credit', accountId];
    expect(await printed(...credit, '250', '--description', 'Welcome')).toMatch(
      /credited +\$2\.50\nbalance +\$2\.50\n/,
    );
    expect(await printed(...credit, '-100')).toMatch(/debited +\$1\.00\nbalance +\$1\.50\n/);
    expect(await printed(...credit, '-100', '--idempotency-key', 'a')).toContain('balance      $0.50');
    expect(await printed(...credit, '-100', '--idempotency-key', 'a')).toContain('balance      $0.50');
    expect(await printed(...credit, '300', '--currency', 'TCK')).toMatch(/credited +3\.00 TCK\nbalance +3\.00 TCK\n/);
    expect(await freehold(['admin', 'credit', 'nobody', '5'])).toEqual(failed('Account not found.'));
  });

  test('sees the machines, sweeps them and proves the ledger', async () => {
    expect(await json('admin', 'machines')).toEqual({ machines: expect.any(Array) });
    expect(await printed('admin', 'machines')).toMatch(/^(ID +STATE .*|There are no machines\.)\n/);
    expect(await printed('admin', 'sweep')).toBe('Nothing was left over.\n');
    expect(await printed('admin', 'reconcile')).toMatch(/^CURRENCY .*\nUSD +adds up .*\nTCK +adds up .*\n/);
  });

  test('is refused with another key', async () => {
    const env = { HOME: home, FREEHOLD_URL: server.url, FREEHOLD_ADMIN_KEY: account.api_key };
    expect(await start(['admin', 'machines'], env).ended).toEqual(
      failed('Invalid admin key (the key is from FREEHOLD_ADMIN_KEY).'),
    );
  });
});

type Mishap = 'pass' | 'refuse' | 'drop';

/** Hands requests on to the server, but for mishaps: the first request meets the first, and so on. */
async function startFlaky(target: string, mishaps: Mishap[]) {
  const front = createServer(async (incoming, outgoing) => {
    const mishap = mishaps.shift() ?? 'pass';
    if (mishap === 'drop') return void incoming.socket.destroy();
    if (mishap === 'refuse')
      return void outgoing
        .writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' })
        .end('{"error":"Full"}');
    const reply = await request(target, incoming.method ?? '', incoming.url ?? '', {
      key: account.api_key,
      body: incoming.method === 'POST' ? await text(incoming) : undefined,
    });
    outgoing.writeHead(reply.status, { 'content-type': 'application/json' }).end(JSON.stringify(reply.body));
  });
  await new Promise<void>((resolve) => void front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    front.closeAllConnections();
    front.close();
  });
  return { url: `http://127.0.0.1:${(front.address() as AddressInfo).port}`, left: () => mishaps };
}

/** Waits until a line that begins so has been printed. */
async function lineOf(stream: NodeJS.ReadableStream, beginning: string): Promise<void> {
  for await (const line of createInterface({ input: stream })) if (line.startsWith(beginning)) return;
  throw new Error(`The output ended without a line that begins with ${beginning}`);
}
