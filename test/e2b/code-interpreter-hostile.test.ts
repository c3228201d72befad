import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { Sandbox, type Execution } from '@e2b/code-interpreter';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { eventually } from '../harness/agent.ts';
import { accessOf, startClient, type Client } from './client.ts';

let client: Client;
let sandbox: Sandbox;
const create = (options = {}): Promise<Sandbox> =>
  Sandbox.create({ ...client.access, timeoutMs: 5 * MINUTE, ...options });
beforeAll(async () => {
  client = await startClient();
  sandbox = await create();
});
afterAll(() => client?.stop());

const out = ({ logs }: Execution): string => logs.stdout.join('');
const err = ({ logs }: Execution): string => logs.stderr.join('');
/** What the client sends; it does not show it. */
const tokenOf = (one: Sandbox): string => (one as unknown as { envdAccessToken: string }).envdAccessToken;

type Asked = { method?: string; headers?: Record<string, string>; body?: unknown; port?: number };
/** One request to the interpreter of a sandbox, as the client sends it or otherwise. */
async function ask(one: Sandbox, path: string, { method = 'POST', headers = {}, body, port = 49_999 }: Asked = {}) {
  const reply = await fetch(`${client.access.sandboxUrl}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      'e2b-sandbox-id': one.sandboxId,
      'e2b-sandbox-port': String(port),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: reply.status, body: await reply.text() };
}

describe('a kernel', () => {
  test.each([
    ['leaves by exit()', 'exit()', 'ended with exit status 0'],
    ['ends itself at once', 'import os; os._exit(3)', 'ended with exit status 3'],
    ['kills itself', 'import os; os.kill(os.getpid(), 9)', 'was ended by signal 9'],
    ['kills all it may kill', 'import os; os.system("kill -9 -1")', 'was ended by signal 9'],
    ['crashes', 'import ctypes; ctypes.string_at(0)', 'was ended by signal 11'],
    ['closes all its files', 'import os; os.closerange(0, 64)', 'ended with'],
    [
      'closes its connection and stays',
      'import os, time\nos.close(3)\ntime.sleep(60)',
      'closed its connection, and was ended',
    ],
  ])('that %s is told as an error, and the next execution has a new one', async (_what, code, how) => {
    await sandbox.runCode('kept = 1');
    const { error } = await sandbox.runCode(code);
    expect(error).toMatchObject({ name: 'KernelDied', value: expect.stringContaining(how) });
    const next = await sandbox.runCode('"kept" in globals()');
    expect(next.text).toBe('False');
    expect(err(next)).toMatch(/The kernel .* This is a new one/);
  });

  test('that writes nonsense where it speaks is not believed, and does not keep others from being heard', async () => {
    const nonsense = String.raw`
import os, json
def say(data): os.write(3, data)
say(b"nonsense\n\xff\xfe\n[]\n7\nnull\n" + b"[" * 100000 + b"\n")
say(json.dumps({"result": "x", "error": 5}).encode() + b"\n")
say(json.dumps({"result": {"text": 5, "evil": "<b>"}, "main": "yes"}).encode() + b"\n")
say(json.dumps({"id": "other", "type": "end"}).encode() + b"\n")
for _ in range(20): say(b"x" * 1000000)
say(b"\n")
"still here"`;
    const execution = await sandbox.runCode(nonsense);
    expect(execution.text).toBe('still here'.replace(/^|$/g, "'"));
    expect(execution.results).toHaveLength(1);
    expect(err(execution)).toContain('A result of more than 8 MiB is left out');
  });

  test(
    'that prints without end is read up to a limit, and interrupted by its client’s timeout',
    { timeout: 60_000 },
    async () => {
      const context = await sandbox.createCodeContext();
      await sandbox.runCode('x = 1', { context });
      let bytes = 0;
      const flood = sandbox.runCode('while True: print("y" * 100000)', {
        context,
        timeoutMs: 8_000,
        onStdout: ({ line }) => void (bytes += line.length),
      });
      await expect(flood).rejects.toThrow(/timed out/);
      expect(bytes).toBeGreaterThan(1_000_000);
      expect(bytes).toBeLessThanOrEqual(32 * 1_024 * 1_024);
      expect((await sandbox.runCode('x', { context })).text).toBe('1');
      await sandbox.removeCodeContext(context);
    },
  );

  test('whose value is huge shows its beginning, and one whose repr fails says so', async () => {
    expect((await sandbox.runCode('"a" * 100_000_000')).text).toHaveLength(1_048_577);
    const broken = 'class B:\n  def __repr__(self): raise ValueError("no")\nB()';
    expect((await sandbox.runCode(broken)).text).toContain('whose repr failed: ValueError: no');
  });
});

describe('a context', () => {
  test('that the machine’s root ends tells whoever waits, and is there again where it is by itself', async () => {
    await sandbox.runCode('x = 1');
    const { error } = await sandbox.runCode('!sudo kill -9 $(ps -o ppid= -p $PPID)\nimport time; time.sleep(20)');
    expect(error?.name).toBe('ContextEnded');
    expect((await sandbox.runCode('1 + 1')).text).toBe('2');
  });

  test('whose name another process has taken is of no use, and can be removed', async () => {
    const tag = 'freehold-code:bash-default';
    const process = {
      cmd: '/bin/sh',
      args: ['-c', 'while true; do yes 1234567890 | head -c 3000000; echo; sleep 0.1; done'],
    };
    const message = Buffer.from(JSON.stringify({ process, tag, stdin: true }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const controller = new AbortController();
    await fetch(`${client.access.sandboxUrl}/process.Process/Start`, {
      method: 'POST',
      signal: controller.signal,
      headers: {
        'content-type': 'application/connect+json',
        'e2b-sandbox-id': sandbox.sandboxId,
        'e2b-sandbox-port': '49983',
        'x-access-token': tokenOf(sandbox),
      },
      body: Buffer.concat([head, message]),
    });
    await expect(sandbox.runCode('echo hi', { language: 'bash', timeoutMs: 1_500 })).rejects.toThrow(/timed out/);
    controller.abort();
    await sandbox.removeCodeContext('bash-default');
    expect(out(await sandbox.runCode('echo hi', { language: 'bash' }))).toBe('hi\n');
  });

  test('has a neighbour for each of thirty-one others and not for more', { timeout: 60_000 }, async () => {
    const crowded = await create();
    const made = await Promise.all(Array.from({ length: 32 }, () => crowded.createCodeContext({ language: 'bash' })));
    await expect(crowded.createCodeContext()).rejects.toThrow(/429/);
    await crowded.removeCodeContext(made[0]!);
    await crowded.createCodeContext({ language: 'bash' });
    await crowded.kill();
  });
});

describe('the interpreter of a sandbox', () => {
  test('runs code for those alone who have its token', async () => {
    const other = await create();
    const body = { code: 'print(1)' };
    expect((await ask(sandbox, '/execute', { body })).status).toBe(401);
    for (const token of ['', 'x', tokenOf(other), client.access.apiKey])
      expect((await ask(sandbox, '/execute', { body, headers: { 'x-access-token': token } })).status).toBe(401);
    for (const path of ['/contexts', '/contexts/python-default/restart'])
      expect((await ask(sandbox, path, { headers: { 'x-access-token': tokenOf(other) }, body: {} })).status).toBe(401);
    const stranger = await accessOf(await client.server.agent(1_000));
    await expect(Sandbox.connect(sandbox.sandboxId, stranger)).rejects.toThrow(/not found/i);
    await other.kill();
  });

  test('is as closed as its ports where its traffic is not public', async () => {
    const closed = await create({ network: { allowPublicTraffic: false } });
    expect((await closed.runCode('1 + 1')).text).toBe('2');
    expect(await closed.listCodeContexts()).toHaveLength(1);
    expect(await ask(closed, '/contexts', { method: 'GET' })).toMatchObject({ status: 403 });
    const traffic = { 'e2b-traffic-access-token': sandbox.trafficAccessToken ?? 'x' };
    expect((await ask(closed, '/contexts', { method: 'GET', headers: traffic })).status).toBe(403);
    await closed.kill();
  });

  test('is reached at the sandbox’s own host name as well', async () => {
    const host = sandbox.getHost(49_999);
    const sent = httpRequest({
      host: '127.0.0.1',
      port: new URL(client.server.url).port,
      path: '/execute?source=ci',
      method: 'POST',
      headers: {
        host,
        'content-type': 'application/json',
        'x-access-token': tokenOf(sandbox),
        'e2b-sandbox-id': 'another',
      },
    });
    sent.end(JSON.stringify({ code: '6 * 7' }));
    const reply = await new Promise<Parameters<typeof text>[0] & { statusCode?: number }>((resolve, reject) =>
      sent.once('response', resolve).once('error', reject),
    );
    expect(reply.statusCode).toBe(200);
    expect((await text(reply)).split('\n').map((line) => line && JSON.parse(line))).toContainEqual({
      type: 'result',
      is_main_result: true,
      text: '42',
    });
  });

  test.each([
    ['no JSON', 'x', 400],
    ['no code', {}, 400],
    ['code that is no text', { code: 5 }, 400],
    ['a variable with a strange name', { code: '1', env_vars: { 'a=b': 'c' } }, 400],
    ['a variable that is no text', { code: '1', env_vars: { a: 5 } }, 400],
    ['a context that never was', { code: '1', context_id: 'python-0123456789abcdef' }, 404],
    ['a context of a strange name', { code: '1', context_id: '../../etc' }, 404],
    ['too much code', { code: 'x'.repeat(1_000_001) }, 413],
    ['too many variables', { code: '1', env_vars: { a: 'x'.repeat(10_000) } }, 413],
  ])('says no to %s', async (_what, body, status) => {
    const reply = await ask(sandbox, '/execute', { headers: { 'x-access-token': tokenOf(sandbox) }, body });
    expect(reply.status).toBe(status);
    expect(JSON.parse(reply.body)).toMatchObject({ code: status, message: expect.any(String) });
  });

  test('is in no other sandbox: there the port is the guest’s own', async () => {
    const plain = await create({ template: 'base' });
    expect((await ask(plain, '/execute', { body: { code: '1' } })).status).toBe(502);
    await plain.commands.run('mkdir www; echo mine > www/contexts; cd www; exec python3 -m http.server 49999', {
      background: true,
    });
    const own = await eventually(
      () => ask(plain, '/contexts', { method: 'GET' }),
      ({ status }) => status === 200,
      20_000,
    );
    expect(own.body).toBe('mine\n');
    await plain.kill();
    expect((await ask(sandbox, '/nothing', { method: 'GET' })).status).toBe(404);
    expect(await ask(sandbox, '/health', { method: 'GET' })).toEqual({ status: 200, body: '"OK"' });
    expect((await ask(sandbox, '/e2b/code/contexts', { method: 'GET', port: 49_983 })).status).toBe(404);
  });
});
