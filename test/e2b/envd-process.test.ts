import { CommandExitError, Sandbox, TimeoutError } from 'e2b';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { collect, framed, opened, stream, unary } from './frames.ts';
import { CODE, startInside, TOKEN, type Inside } from './inside.ts';

let inside: Inside;
let sandbox: Sandbox;
beforeAll(async () => {
  inside = await startInside();
  sandbox = new Sandbox({
    sandboxId: CODE,
    envdVersion: '0.6.4',
    envdAccessToken: TOKEN,
    apiKey: 'e2b_00',
    sandboxUrl: `${inside.origin}/e2b/envd`,
  });
});
beforeEach(() => {
  inside.state.script = () => {};
  inside.state.sandbox = { ...inside.state.sandbox, state: 'running' };
  inside.processes.length = 0;
});
afterAll(async () => {
  expect(inside.failures).toEqual([]);
  await inside.close();
});

const START = 'process.Process/Start';
const bash = (command: string) => ({ process: { cmd: '/bin/bash', args: ['-l', '-c', command] } });

describe('a started process', () => {
  test('is told of at once, then what it prints, then how it ended, and the end of the stream', async () => {
    inside.state.script = (process) => void process.print('out').print('err', 'stderr').exit(3);
    const { status, frames, response } = await stream(inside.origin, START, bash('exit 3'));
    expect([status, response.headers.get('content-type')]).toEqual([200, 'application/connect+json']);
    expect(await collect(frames)).toEqual([
      { flags: 0, message: { event: { start: { pid: 100 } } } },
      { flags: 0, message: { event: { data: { stdout: Buffer.from('out').toString('base64') } } } },
      { flags: 0, message: { event: { data: { stderr: Buffer.from('err').toString('base64') } } } },
      {
        flags: 0,
        message: { event: { end: { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' } } },
      },
      { flags: 2, message: {} },
    ]);
  });

  test('that says nothing is still told of at once', async () => {
    const { frames } = await stream(inside.origin, START, bash('sleep 100'));
    expect((await frames.next()).value).toMatchObject({ message: { event: { start: { pid: 100 } } } });
    await frames.return(undefined);
  });

  test.each([
    [0, { exitCode: 0, exited: true, status: 'exit status 0' }],
    [127, { exitCode: 127, exited: true, status: 'exit status 127', error: 'exit status 127' }],
  ])('that exits with %i ends in these words', async (code, end) => {
    inside.state.script = (process) => void process.exit(code);
    const { frames } = await stream(inside.origin, START, bash('true'));
    expect((await collect(frames)).at(-2)?.message).toEqual({ event: { end } });
  });

  test.each([
    [9, 'signal: killed'],
    [15, 'signal: terminated'],
    [11, 'signal: segmentation fault'],
  ])('that dies of signal %i ends in these words', async (signal, status) => {
    inside.state.script = (process) => void process.die(signal);
    const { frames } = await stream(inside.origin, START, bash('true'));
    expect((await collect(frames)).at(-2)?.message).toEqual({
      event: { end: { exitCode: -1, exited: false, status, error: status } },
    });
  });

  test('finds the sandbox’s variables and its own, in its user’s home, and has input unless it is refused', async () => {
    inside.state.script = (process) => void process.exit(0);
    await collect((await stream(inside.origin, START, { process: { cmd: 'a', envs: { B: 'c' }, cwd: 'sub' } })).frames);
    const basic = { authorization: `Basic ${Buffer.from('root:').toString('base64')}` };
    const message = { process: { cmd: 'a', cwd: '~/x' }, stdin: false };
    await collect((await stream(inside.origin, START, message, { headers: basic })).frames);
    expect(inside.processes.map(({ request }) => request)).toMatchObject([
      {
        command: ['a'],
        cwd: '/home/user/sub',
        user: 'user',
        stdin: true,
        env: { GREETING: 'hello', E2B_SANDBOX: 'true', E2B_SANDBOX_ID: CODE, E2B_TEMPLATE_ID: 'base', B: 'c' },
        onDisconnect: 'keep',
      },
      { cwd: '/root/x', user: 'root', stdin: false },
    ]);
  });

  test('is killed by the machine itself at the caller’s deadline, which is told as such', async () => {
    inside.state.script = (process) => void process.die(9, true);
    const { frames } = await stream(inside.origin, START, bash('sleep 9'), {
      headers: { 'connect-timeout-ms': '1500' },
    });
    expect((await collect(frames)).at(-1)).toMatchObject({
      flags: 2,
      message: { error: { code: 'deadline_exceeded' } },
    });
    expect(inside.processes[0]?.request.timeoutMs).toBe(1_500);
  });

  test('goes on when its caller leaves', async () => {
    const leaving = new AbortController();
    const { frames } = await stream(inside.origin, START, bash('sleep 9'), { signal: leaving.signal });
    await frames.next();
    const [process] = inside.processes;
    expect(process?.isHeld).toBe(true);
    leaving.abort();
    await eventually(
      async () => process?.isHeld,
      (isHeld) => isHeld === false,
    );
    expect([process?.signals, process?.request.onDisconnect]).toEqual([[], 'keep']);
    await expect(collect(frames)).rejects.toThrow();
  });

  test('that is quiet is kept alive as often as its caller asks', async () => {
    const { frames } = await stream(inside.origin, START, bash('sleep 9'), {
      headers: { 'keepalive-ping-interval': '1' },
    });
    await frames.next();
    expect((await frames.next()).value?.message).toEqual({ event: { keepalive: {} } });
    await frames.return(undefined);
  });

  test('is not started where the sandbox has a thousand streams open, and is again when one has ended', async () => {
    const open = await Promise.all(Array.from({ length: 1_000 }, () => stream(inside.origin, START, bash('sleep 9'))));
    const oneMore = await stream(inside.origin, START, bash('sleep 9'));
    expect(await collect(oneMore.frames)).toMatchObject([
      { flags: 2, message: { error: { code: 'resource_exhausted' } } },
    ]);
    for (const process of inside.processes) process.exit(0);
    await Promise.all(open.map(({ frames }) => collect(frames)));
    inside.state.script = (process) => void process.exit(0);
    expect((await collect((await stream(inside.origin, START, bash('true'))).frames)).at(-1)).toEqual({
      flags: 2,
      message: {},
    });
  });

  test('is listed, and the platform’s own sshd is not', async () => {
    await Promise.all(
      [undefined, 'mine', 'freehold-sshd'].map((tag) => stream(inside.origin, START, { ...bash('sleep 9'), tag })),
    );
    expect((await sandbox.commands.list()).map(({ tag }) => tag)).toEqual([undefined, 'mine']);
  });

  test('prints no faster than its caller reads, and loses nothing', async () => {
    const chunk = Buffer.alloc(60_000, 'x');
    inside.state.script = (process) => {
      for (let n = 0; n < 100; n++) process.print(chunk);
      process.exit(0);
    };
    const result = await sandbox.commands.run('yes');
    expect(result.stdout.length).toBe(6_000_000);
  });
});

describe('the stock client', () => {
  test('gets output that is cut within a character', async () => {
    const [head, tail] = [Buffer.from('€').subarray(0, 1), Buffer.from('€').subarray(1)];
    inside.state.script = (process) => void process.print(head).print(tail).exit(0);
    expect((await sandbox.commands.run('price')).stdout).toBe('€');
  });

  test('throws for a command that failed, with what it printed', async () => {
    inside.state.script = (process) => void process.print('a').print('b', 'stderr').exit(7);
    const failure = await sandbox.commands.run('fail').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandExitError);
    expect(failure).toMatchObject({ stdout: 'a', stderr: 'b', exitCode: 7, error: 'exit status 7' });
  });

  test('gives input, ends it, kills and lists', async () => {
    const handle = await sandbox.commands.run('cat', { background: true, stdin: true });
    await handle.sendStdin('abc');
    expect(Buffer.concat(inside.processes[0]?.input ?? []).toString()).toBe('abc');
    await handle.closeStdin();
    expect(await sandbox.commands.list()).toMatchObject([
      { pid: handle.pid, cmd: '/bin/bash', args: ['-l', '-c', 'cat'] },
    ]);
    expect(await handle.kill()).toBe(true);
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1, error: 'signal: killed' });
    expect(await sandbox.commands.kill(4_711)).toBe(false);
  });

  test('joins a process that runs', async () => {
    const first = await sandbox.commands.run('serve', { background: true });
    await first.disconnect();
    await eventually(
      async () => inside.processes[0]?.isHeld,
      (isHeld) => isHeld === false,
    );
    inside.processes[0]!.isHeld = true;
    const again = await sandbox.commands.connect(first.pid);
    inside.processes[0]?.print('hello').exit(0);
    expect(await again.wait()).toMatchObject({ stdout: 'hello', exitCode: 0 });
    await expect(sandbox.commands.connect(4_711)).rejects.toThrow(/not_found/);
  });

  test('is told that the sandbox was killed when it was killed under a command', async () => {
    const handle = await sandbox.commands.run('sleep 9', { background: true });
    inside.state.sandbox = { ...inside.state.sandbox, state: 'destroyed' };
    inside.processes[0]?.lose();
    const failure = await handle.wait().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TimeoutError);
    expect(String(failure)).toContain('was killed or reached its end of life');
    expect(await sandbox.isRunning()).toBe(false);
  });
});

describe('errors', () => {
  test('of a stream stand in its last frame, under status 200', async () => {
    const nobody = { authorization: `Basic ${Buffer.from('nobody-here:').toString('base64')}` };
    const refused = await stream(inside.origin, START, bash('true'), { headers: nobody });
    expect([refused.status, await collect(refused.frames)]).toMatchObject([
      200,
      [{ flags: 2, message: { error: { code: 'unauthenticated' } } }],
    ]);
    const unknown = await stream(inside.origin, 'process.Process/Connect', { process: { pid: 4_711 } });
    expect([unknown.status, await collect(unknown.frames)]).toMatchObject([
      200,
      [{ flags: 2, message: { error: { code: 'not_found' } } }],
    ]);
  });

  test('of a call are its status and a word', async () => {
    expect(
      await unary(inside.origin, 'process.Process/SendSignal', { process: { pid: 1 }, signal: 'SIGNAL_SIGKILL' }),
    ).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    for (const signal of ['SIGNAL_SIGHUP', 'constructor', '__proto__', 1, undefined])
      expect(await unary(inside.origin, 'process.Process/SendSignal', { process: { pid: 1 }, signal })).toMatchObject({
        status: 501,
        body: { code: 'unimplemented' },
      });
    expect(await unary(inside.origin, 'process.Process/Nonsense', {})).toMatchObject({
      status: 501,
      body: { code: 'unimplemented' },
    });
  });

  test.each([
    ['a number', '1'],
    ['cut off', '{"process":'],
    ['an array', '[]'],
    ['of the wrong type', '{"process":{"pid":"many"}}'],
    ['nested without end', '['.repeat(50_000)],
  ])('a call that is %s is the caller’s mistake', async (_what, body) => {
    expect(await unary(inside.origin, 'process.Process/SendSignal', body)).toMatchObject({
      status: 400,
      body: { code: 'invalid_argument', message: expect.any(String) },
    });
  });

  test.each([
    ['no frame', new Uint8Array()],
    ['half a header', new Uint8Array([0, 0])],
    ['a length that is a lie', new Uint8Array([0, 255, 255, 255, 255, 1])],
    ['a compressed frame', framed({}, 1)],
    ['two frames', new Uint8Array([...framed({}), ...framed({})])],
    ['a frame of rubbish', new Uint8Array([0, 0, 0, 0, 1, 200])],
  ])('a stream that is asked for with %s is the caller’s mistake', async (_what, body) => {
    const { status, frames } = await stream(inside.origin, START, body);
    expect(status).toBe(200);
    expect(await collect(frames)).toMatchObject([
      { flags: 2, message: { error: { code: expect.stringMatching(/^(invalid_argument|unimplemented)$/) } } },
    ]);
  });

  test('more than is held for a sandbox is refused while its processes take nothing of it', async () => {
    inside.state.script = () => {};
    const { frames } = await stream(inside.origin, START, bash('cat'));
    const { pid } = (await frames.next()).value!.message.event.start;
    const taking = Promise.withResolvers<void>();
    inside.state.taking = taking.promise;
    const message = { process: { pid }, input: { stdin: 'x'.repeat(8_000_000) } };
    const sent = Array.from({ length: 4 }, () => unary(inside.origin, 'process.Process/SendInput', message));
    await expect.poll(() => inside.state.waiting).toBe(4);
    const small = { process: { pid }, input: { stdin: 'eHg=' } };
    expect(await unary(inside.origin, 'process.Process/SendInput', message)).toMatchObject({
      status: 429,
      body: { code: 'resource_exhausted', message: 'Too much is being sent to this sandbox at once' },
    });
    taking.resolve();
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await unary(inside.origin, 'process.Process/SendInput', small)).status).toBe(200);
    expect((await unary(inside.origin, 'process.Process/SendInput', message)).status).toBe(200);
    await frames.return(undefined);
  });

  test('a message that is too large is refused before it is all there', async () => {
    const body = JSON.stringify({ process: { pid: 100 }, input: { stdin: 'x'.repeat(9_000_000) } });
    expect(await unary(inside.origin, 'process.Process/SendInput', body)).toMatchObject({
      status: 429,
      body: { code: 'resource_exhausted' },
    });
  });
});

describe('the way in', () => {
  test.each([
    ['no token', { 'x-access-token': '' }],
    ['another token', { 'x-access-token': 'x'.repeat(40) }],
    ['the key of its account', { 'x-access-token': '', 'x-api-key': 'e2b_00' }],
  ])('is shut for %s', async (_what, headers) => {
    expect(await unary(inside.origin, 'process.Process/List', {}, { headers })).toMatchObject({
      status: 401,
      body: { code: 'unauthenticated' },
    });
  });

  test('leads nowhere without the name of a sandbox', async () => {
    const { 'e2b-sandbox-id': _id, ...rest } = opened;
    const response = await fetch(`${inside.origin}/e2b/envd/process.Process/List`, { method: 'POST', headers: rest });
    expect(response.status).toBe(400);
  });

  test('to a sandbox that is gone or paused is 502, for everything that is asked', async () => {
    for (const state of ['paused', 'destroyed'] as const) {
      inside.state.sandbox = { ...inside.state.sandbox, state };
      const health = await fetch(`${inside.origin}/e2b/envd/health`, { headers: { 'e2b-sandbox-id': CODE } });
      expect([health.status, await health.json()]).toEqual([
        502,
        { sandboxId: CODE, message: 'The sandbox was not found', code: 502 },
      ]);
      expect((await unary(inside.origin, 'process.Process/List', {})).status).toBe(502);
      expect((await stream(inside.origin, START, bash('true'))).status).toBe(502);
      expect((await fetch(`${inside.origin}/e2b/envd/files?path=x`, { headers: opened })).status).toBe(502);
    }
  });

  test('is open to everybody who asks whether it is well', async () => {
    const health = await fetch(`${inside.origin}/e2b/envd/health`, { headers: { 'e2b-sandbox-id': CODE } });
    expect([health.status, await health.text()]).toEqual([204, '']);
  });

  test('does not lead to what only the platform may do', async () => {
    for (const path of ['init', 'freeze', 'unfreeze', 'collapse', 'fsfreeze', 'fsthaw']) {
      const response = await fetch(`${inside.origin}/e2b/envd/${path}`, { method: 'POST', headers: opened });
      expect([path, response.status]).toEqual([path, 404]);
    }
  });
});
