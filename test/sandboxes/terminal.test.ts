import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { sandboxClient } from './client.ts';

/** On a busy host things take their time. */
const PATIENT = { timeout: 20_000 };

/** The terminal of a sandbox, on a real machine, through a real WebSocket client. */
const client = sandboxClient();
const { at, call } = client;

type Terminal = {
  socket: WebSocket;
  /** What it has shown so far. */
  shown(): string;
  said(): Record<string, unknown>[];
  type(text: string): void;
};

const address = (query = ''): string => client.server.url.replace('http', 'ws') + at(`/terminal${query}`);

async function open(query = '', protocols: string[] = [], key = client.agent.key): Promise<Terminal> {
  const headers = protocols.length > 0 ? {} : { authorization: key };
  const socket = new WebSocket(address(query), protocols, { headers });
  let shown = '';
  const said: Record<string, unknown>[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) shown += data.toString();
    else said.push(JSON.parse(data.toString()));
  });
  await once(socket, 'open');
  return { socket, shown: () => shown, said: () => said, type: (text) => socket.send(Buffer.from(text)) };
}

/** What a request for a WebSocket was answered where it was refused. */
async function refusal(url: string, headers: Record<string, string>): Promise<[number | undefined, unknown]> {
  const socket = new WebSocket(url, { headers });
  socket.on('error', () => {});
  const [, reply] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  return [reply.statusCode, await json(reply)];
}

describe('a terminal', () => {
  test('shows what a shell says to what is typed, and ends with it', async () => {
    const { socket, shown, said, type } = await open();
    type('echo $STAGE-$((6 * 7))\n');
    await expect.poll(shown, PATIENT).toContain('test-42');
    const closed = once(socket, 'close');
    type('exit 3\n');
    const [code] = (await closed) as [number];
    expect(code).toBe(1_000);
    expect(said()).toEqual([
      { type: 'start', pid: expect.any(Number) },
      { type: 'exit', exit_code: 3, signal: null },
    ]);
  });

  test('has the size that it is given, and another when it is resized', async () => {
    const { socket, shown, type } = await open('?cols=100&rows=30&user=root&cwd=/tmp');
    type('stty size; whoami; pwd\n');
    await expect.poll(shown, PATIENT).toMatch(/30 100\r\nroot\r\n\/tmp/);
    socket.send(JSON.stringify({ type: 'resize', cols: 120, rows: 40 }));
    socket.send(JSON.stringify({ type: 'input', data: 'stty size\n' }));
    await expect.poll(shown, PATIENT).toContain('40 120');
    socket.terminate();
  });

  test('takes its shell with it when the connection breaks, unless that is to be kept', async () => {
    const pids = async () => (await call('GET', at('/runs'))).body.runs.map(({ pid }: { pid: number }) => pid);
    const [lost, kept] = [await open(), await open('?keep=true')];
    await expect.poll(() => [lost.said().length, kept.said().length], PATIENT).toEqual([1, 1]);
    const [lostPid, keptPid] = [lost.said()[0]?.['pid'], kept.said()[0]?.['pid']];
    kept.type('echo before-$((1 + 1))\n');
    await expect.poll(kept.shown, PATIENT).toContain('before-2');
    const had = Buffer.byteLength(kept.shown());
    lost.socket.terminate();
    kept.socket.terminate();
    await expect.poll(pids, PATIENT).not.toContain(lostPid);
    expect(await pids()).toContain(keptPid);
    const again = await open(`?pid=${String(keptPid)}&pty=${had}`);
    again.type('echo after-$((2 + 2))\n');
    await expect.poll(again.shown, PATIENT).toContain('after-4');
    expect(again.shown()).not.toContain('before-2');
    again.type('exit\n');
    await once(again.socket, 'close');
  });

  test('is opened by a browser with its key among the protocols', async () => {
    const { socket, shown, type } = await open('', ['terminal', `bearer.${client.agent.key}`]);
    expect(socket.protocol).toBe('terminal');
    type('echo in-$((3 + 3))\n');
    await expect.poll(shown, PATIENT).toContain('in-6');
    socket.terminate();
  });

  test('is refused like any other request', async () => {
    const own = { authorization: client.agent.key };
    expect(await refusal(address(), {})).toEqual([401, { error: 'Invalid API key' }]);
    expect(await refusal(address('?cols=0'), own)).toEqual([400, { error: expect.stringContaining('cols') }]);
    const stranger = await client.server.agent();
    expect(await refusal(address(), { authorization: stranger.key })).toEqual([404, { error: 'Sandbox not found' }]);
    const elsewhere = client.server.url.replace('http', 'ws') + at('/exec');
    expect(await refusal(elsewhere, own)).toEqual([405, { error: 'Method not allowed' }]);
    expect(await call('GET', at('/terminal'))).toMatchObject({ status: 400 });
  });

  test('ends with a word where it is spoken to wrongly', async () => {
    for (const said of ['no json', '{"type":"dance"}', '{"type":"resize","cols":0,"rows":1}']) {
      const { socket } = await open();
      const closed = once(socket, 'close');
      socket.send(said);
      expect((await closed)[0]).toBe(1_008);
    }
    const unknown = await open('?pid=4000000');
    const [code, reason] = (await once(unknown.socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1_008, 'No such process']);
  });

  test('stands still while its sandbox is paused, and goes on after that with what was typed meanwhile', async () => {
    const { socket, shown, type } = await open();
    type('echo before-$((1 + 1))\n');
    await expect.poll(shown, PATIENT).toContain('before-2');
    expect(await call('POST', at('/pause'))).toMatchObject({ status: 200 });
    type('echo meanwhile-$((2 + 2))\n');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(shown()).not.toContain('meanwhile-4');
    expect(await call('POST', at('/resume'))).toMatchObject({ status: 200 });
    await expect.poll(shown, PATIENT).toContain('meanwhile-4');
    socket.terminate();
  });

  test.each([
    ['deleted', 'DELETE', '', undefined],
    ['paused without its memory', 'POST', '/pause', { keep_memory: false }],
  ])('ends when its sandbox is %s', async (_what, method, path, sent) => {
    const { body } = await call('POST', '/v1/sandboxes', {});
    const socket = new WebSocket(address().replace(client.id, body.id), {
      headers: { authorization: client.agent.key },
    });
    await once(socket, 'open');
    const closed = once(socket, 'close');
    await call(method, `/v1/sandboxes/${body.id}${path}`, sent);
    expect((await closed)[0]).toBe(1_008);
  });
});
