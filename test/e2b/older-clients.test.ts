import type { Sandbox } from 'e2b';
import * as first from 'e2b-2.30';
import * as later from 'e2b-2.45';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { startClient, type Client } from './client.ts';

/** What the tests do with them is written alike for all of them. */
type Stock = typeof Sandbox;

let client: Client;
beforeAll(async () => void (client = await startClient()));
afterAll(() => client?.stop());

describe.each([
  ['2.30', first.Sandbox as unknown as Stock],
  ['2.45', later.Sandbox as unknown as Stock],
])('the stock client %s', (version, Older) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Older.create({
      ...client.access,
      metadata: { version },
      envs: { COLOUR: 'blue' },
      timeoutMs: MINUTE,
    });
  });

  test('creates a sandbox, finds it among others, reads of it and lets it live longer', async () => {
    const query = { metadata: { version } };
    const found = await Older.list({ ...client.access, query }).nextItems();
    expect(found.map(({ sandboxId }) => sandboxId)).toEqual([sandbox.sandboxId]);
    await sandbox.setTimeout(5 * MINUTE);
    const info = await sandbox.getInfo();
    expect(info).toMatchObject({ state: 'running', metadata: { version } });
    expect(info.endAt.getTime() - Date.now()).toBeGreaterThan(4 * MINUTE);
  });

  test('runs commands in the foreground and in the background, with input, and ends them', async () => {
    let heard = '';
    const done = await sandbox.commands.run('echo $COLOUR; echo wrong >&2', {
      onStdout: (text) => void (heard += text),
    });
    expect(done).toMatchObject({ exitCode: 0, stdout: 'blue\n', stderr: 'wrong\n' });
    expect(heard).toBe('blue\n');
    await expect(sandbox.commands.run('exit 3')).rejects.toMatchObject({ exitCode: 3 });
    const cat = await sandbox.commands.run('cat', { background: true, stdin: true });
    await sandbox.commands.sendStdin(cat.pid, 'hello\n');
    await expect.poll(() => cat.stdout).toBe('hello\n');
    expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(cat.pid);
    expect(await sandbox.commands.kill(cat.pid)).toBe(true);
  });

  test('opens a terminal', async () => {
    let shown = '';
    const onData = (data: Uint8Array) => void (shown += Buffer.from(data).toString());
    const terminal = await sandbox.pty.create({ cols: 90, rows: 20, onData });
    await sandbox.pty.sendInput(terminal.pid, Buffer.from('stty size; exit\n'));
    await terminal.wait();
    expect(shown).toContain('20 90');
  });

  test('writes, reads, lists, watches and removes files', async () => {
    await sandbox.files.makeDir('kept');
    const seen: string[] = [];
    const watching = await sandbox.files.watchDir('kept', ({ name }) => void seen.push(name));
    await sandbox.files.write('kept/one.txt', 'first');
    expect(await sandbox.files.read('kept/one.txt')).toBe('first');
    expect((await sandbox.files.list('kept')).map(({ name }) => name)).toEqual(['one.txt']);
    await expect.poll(() => seen).toContain('one.txt');
    await watching.stop();
    await sandbox.files.remove('kept/one.txt');
    expect(await sandbox.files.exists('kept/one.txt')).toBe(false);
  });

  test('pauses it, connects to it with its processes, and kills it', async () => {
    const { pid } = await sandbox.commands.run('sleep 600', { background: true, timeoutMs: 0 });
    await sandbox.pause();
    expect((await Older.getInfo(sandbox.sandboxId, client.access)).state).toBe('paused');
    const again = await Older.connect(sandbox.sandboxId, client.access);
    expect((await again.commands.list()).map((each) => each.pid)).toContain(pid);
    expect(await again.kill()).toBe(true);
    expect(await again.isRunning()).toBe(false);
  });
});
