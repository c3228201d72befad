import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startClient, type Client } from './client.ts';
import { collect, stream, unary, type Frame } from './frames.ts';

/** What the protocol of processes has beside what the stock client shows of it, in a real machine. */

let client: Client;
let sandbox: Sandbox;
let opened: Record<string, string>;
beforeAll(async () => {
  client = await startClient();
  sandbox = await client.create();
  // What the client sends; it does not show it.
  const { envdAccessToken: token } = sandbox as unknown as { envdAccessToken: string };
  opened = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '49983', 'x-access-token': token };
});
afterAll(() => client?.stop());

const call = (method: string, message: object) =>
  unary(client.server.url, `process.Process/${method}`, message, { headers: opened });
const open = (method: string, message: object, headers: Record<string, string> = {}) =>
  stream(client.server.url, `process.Process/${method}`, message, { headers: { ...opened, ...headers } });
const bash = (command: string) => ({ cmd: '/bin/bash', args: ['-c', command] });

/** Starts it, and answers its number and the rest of what is told of it. */
async function started(message: object): Promise<{ pid: number; frames: AsyncGenerator<Frame> }> {
  const { frames } = await open('Start', message);
  const first = (await frames.next()).value as Frame;
  return { pid: first.message.event.start.pid, frames };
}
const told = async (frames: AsyncIterable<Frame>) =>
  (await collect(frames)).map(({ message }) => message.event ?? message);
const printed = (text: string) => ({ data: { stdout: Buffer.from(text).toString('base64') } });
const CAME_TO_ITS_END = { end: { exitCode: 0, exited: true, status: 'exit status 0' } };

describe('a process', () => {
  test('whose input is over may be told so again, and so may one that has none; a terminal may not', async () => {
    const cat = await started({ process: bash('cat; sleep 0.5') });
    for (let again = 0; again < 2; again++)
      expect(await call('CloseStdin', { process: { pid: cat.pid } })).toEqual({ status: 200, body: {} });
    expect(await call('SendInput', { process: { pid: cat.pid }, input: { stdin: 'eHg=' } })).toMatchObject({
      body: { code: 'failed_precondition' },
    });
    const deaf = await started({ process: bash('sleep 9'), stdin: false });
    expect(await call('CloseStdin', { process: { pid: deaf.pid } })).toEqual({ status: 200, body: {} });
    const terminal = await started({ process: bash('sleep 9'), pty: { size: { cols: 80, rows: 24 } } });
    expect(await call('CloseStdin', { process: { pid: terminal.pid } })).toMatchObject({ status: 400 });
    for (const [pid, input] of [
      [terminal.pid, { stdin: 'eHg=' }],
      [deaf.pid, { pty: 'eHg=' }],
    ] as const)
      expect(await call('SendInput', { process: { pid }, input })).toMatchObject({
        status: 400,
        body: { message: expect.stringMatching(/^The process takes (pty|stdin) input$/) },
      });
    expect(await call('CloseStdin', { process: { pid: 4_000_000 } })).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    expect((await told(cat.frames)).at(-2)).toEqual(CAME_TO_ITS_END);
    for (const { pid } of [deaf, terminal]) await call('SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' });
    await Promise.all([deaf, terminal].map(({ frames }) => collect(frames)));
  });

  test('is selected by its tag as well, and ends politely where it is asked to', async () => {
    const { frames } = await started({
      process: bash('trap "echo asked; exit 0" TERM; read x; echo $x; read y'),
      tag: 'mine',
    });
    const named = { process: { tag: 'mine' } };
    expect(await call('SendInput', { ...named, input: { stdin: Buffer.from('heard\n').toString('base64') } })).toEqual({
      status: 200,
      body: {},
    });
    expect((await frames.next()).value?.message.event).toEqual(printed('heard\n'));
    const joined = await open('Connect', named);
    expect((await call('SendSignal', { ...named, signal: 'SIGNAL_SIGTERM' })).status).toBe(200);
    expect(await told(frames)).toEqual([printed('asked\n'), CAME_TO_ITS_END, {}]);
    expect((await told(joined.frames)).slice(1)).toEqual([printed('asked\n'), CAME_TO_ITS_END, {}]);
  });

  test('tells who joins it what it prints from then on, and whoever comes after its end that it has ended', async () => {
    const { pid, frames } = await started({ process: bash('echo before; read x; echo after') });
    expect((await frames.next()).value?.message.event).toEqual(printed('before\n'));
    const joined = await open('Connect', { process: { pid } });
    expect((await joined.frames.next()).value?.message.event).toEqual({ start: { pid } });
    await call('SendInput', { process: { pid }, input: { stdin: Buffer.from('x\n').toString('base64') } });
    expect(await told(joined.frames)).toEqual([printed('after\n'), CAME_TO_ITS_END, {}]);
    await collect(frames);
    const late = await open('Connect', { process: { pid } });
    expect(await told(late.frames)).toEqual([{ start: { pid } }, CAME_TO_ITS_END, {}]);
    expect((await call('List', {})).body.processes).toEqual([]);
  });

  test('goes on when the time of one who has joined it is over', async () => {
    const { pid, frames } = await started({ process: bash('read x') });
    const joined = await open('Connect', { process: { pid } }, { 'connect-timeout-ms': '200' });
    expect((await told(joined.frames)).at(-1)).toMatchObject({ error: { code: 'deadline_exceeded' } });
    expect((await call('List', {})).body.processes).toMatchObject([{ pid }]);
    expect((await call('CloseStdin', { process: { pid } })).status).toBe(200);
    expect((await told(frames))[0]).toMatchObject({ end: { exitCode: 1, exited: true } });
  });
});
