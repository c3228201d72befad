import { CommandExitError, type CommandStartOpts, InvalidArgumentError, TimeoutError, type Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { startClient, type Client } from './client.ts';

let client: Client;
let sandbox: Sandbox;
beforeAll(async () => {
  client = await startClient();
  sandbox = await client.create({ envs: { COLOUR: 'blue', SHAPE: 'round' } });
});
afterAll(() => client?.stop());

const run = (command: string, options: CommandStartOpts = {}) =>
  sandbox.commands.run(command, { ...options, background: false });
const begin = (command: string, options: CommandStartOpts = {}) =>
  sandbox.commands.run(command, { ...options, background: true });

describe('a command', () => {
  test('is run by a login shell as the user, at home, with the sandbox’s variables', async () => {
    const { stdout } = await run('id -un; pwd; echo $HOME $USER $LOGNAME $COLOUR $E2B_SANDBOX $E2B_SANDBOX_ID');
    expect(stdout).toBe(`user\n/home/user\n/home/user user user blue true ${sandbox.sandboxId}\n`);
  });

  test('has what people expect of a computer', async () => {
    await run('command -v bash python python3 curl git tput sudo node make gcc');
    expect((await run('sudo id -un')).stdout).toBe('root\n');
  });

  test('gives its output apart, also when it is large, special or not text', async () => {
    const { stdout, stderr } = await run('echo out; echo err >&2; printf "ü €\\n"');
    expect([stdout, stderr]).toEqual(['out\nü €\n', 'err\n']);
    expect((await run('head -c 3000000 /dev/zero | tr "\\0" x')).stdout).toHaveLength(3_000_000);
    expect((await run('printf "\\xff\\xfe"')).stdout).toBe('\uFFFD\uFFFD');
  });

  test('that fails throws with its code and what it printed', async () => {
    const failure = await run('echo a; echo b >&2; exit 42').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandExitError);
    expect(failure).toMatchObject({ exitCode: 42, stdout: 'a\n', stderr: 'b\n', error: 'exit status 42' });
  });

  test('tells by which signal it died', async () => {
    await expect(run('kill -TERM $$')).rejects.toMatchObject({ exitCode: -1, error: 'signal: terminated' });
  });

  test('runs where and as whom it is told', async () => {
    expect((await run('pwd', { cwd: '/tmp' })).stdout).toBe('/tmp\n');
    expect((await run('id -un; pwd', { user: 'root' })).stdout).toBe('root\n/root\n');
    await run('mkdir -p there');
    expect((await run('pwd', { cwd: 'there' })).stdout).toBe('/home/user/there\n');
    expect((await run('pwd', { cwd: '~/there' })).stdout).toBe('/home/user/there\n');
    const missing = await run('pwd', { cwd: '/no/such/place' }).catch((error: unknown) => error);
    expect(missing).toBeInstanceOf(InvalidArgumentError);
    expect(String(missing)).toContain("cwd '/no/such/place' does not exist");
    await expect(run('id', { user: 'nobody-here' })).rejects.toThrow(/error looking up user 'nobody-here'/);
  });

  test('has variables of its own, which no other one sees', async () => {
    expect((await run('echo $COLOUR $SHAPE $MINE', { envs: { COLOUR: 'red', MINE: '1' } })).stdout).toBe(
      'red round 1\n',
    );
    expect((await run('echo $COLOUR $MINE')).stdout).toBe('blue\n');
  });

  test('is killed at its timeout, with everything that it started', async () => {
    const failure = await run('sleep 1000 & echo $!; sleep 1000', { timeoutMs: 700 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TimeoutError);
    await eventually(
      () => run('pgrep -x sleep || true'),
      ({ stdout }) => stdout === '',
    );
  });

  test('in the background is listed, gives what it prints as it comes, and is waited for', async () => {
    const seen: string[] = [];
    const handle = await begin('for n in 1 2 3; do echo $n; sleep 0.1; done; exit 3', {
      onStdout: (text: string) => void seen.push(text),
    });
    expect(await sandbox.commands.list()).toContainEqual(
      expect.objectContaining({ pid: handle.pid, cmd: '/bin/bash' }),
    );
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: 3, stdout: '1\n2\n3\n' });
    expect(seen).toEqual(['1\n', '2\n', '3\n']);
    expect(await sandbox.commands.list()).toEqual([]);
  });

  test('is killed with what it started, once', async () => {
    const handle = await begin('sleep 1000 & sleep 1000');
    expect(await handle.kill()).toBe(true);
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: -1, error: 'signal: killed' });
    expect(await sandbox.commands.kill(handle.pid)).toBe(false);
    expect((await run('pgrep -x sleep || true')).stdout).toBe('');
  });

  test('goes on when its caller leaves, and is joined by two at once', async () => {
    const handle = await begin('while ! [ -e /tmp/go ]; do sleep 0.05; done; echo went');
    await handle.disconnect();
    const [one, two] = await Promise.all([sandbox.commands.connect(handle.pid), sandbox.commands.connect(handle.pid)]);
    await sandbox.files.write('/tmp/go', '');
    const outcomes = await Promise.all([one.wait(), two.wait()]);
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(['went\n', 'went\n']);
    await expect(sandbox.commands.connect(4_000_000)).rejects.toThrow(/not_found/);
  });

  test('takes input until it is ended, and none where it was not to have any', async () => {
    const cat = await begin('cat', { stdin: true });
    await cat.sendStdin('one ');
    await cat.sendStdin('zwei ü');
    await cat.closeStdin();
    expect((await cat.wait()).stdout).toBe('one zwei ü');
    const deaf = await begin('sleep 5');
    await expect(deaf.sendStdin('x')).rejects.toThrow();
    await deaf.kill();
    expect((await run('cat')).stdout).toBe('');
  });

  test('leaves servers running that it has started', async () => {
    await run('nohup python3 -m http.server 8123 >/dev/null 2>&1 & sleep 0.1');
    const { stdout } = await eventually(
      () => run('curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:8123/ || true'),
      ({ stdout: code }) => code === '200',
    );
    expect(stdout).toBe('200');
  });

  test('can be one of fifty at once', async () => {
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => run(`echo ${n}`)));
    expect(outcomes.map(({ stdout }) => Number(stdout))).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });
});

describe('a terminal', () => {
  const open = async (options = {}) => {
    let text = '';
    const decoder = new TextDecoder();
    const onData = (data: Uint8Array) => void (text += decoder.decode(data, { stream: true }));
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData, ...options });
    const type = (line: string) => sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(line));
    const shows = (wanted: string) =>
      eventually(
        async () => text,
        (shown) => shown.includes(wanted),
        10_000,
        20,
      );
    return { terminal, type, shows };
  };

  test('is a real one, of the size that it is given, with the user’s shell in it', async () => {
    const { terminal, type, shows } = await open({ envs: { MARK: 'x1' }, cwd: '/tmp' });
    await type('echo "size $(tput cols)x$(tput lines) $TERM $MARK $PWD $(test -t 0 && echo tty)"\n');
    await shows('size 80x24 xterm-256color x1 /tmp tty');
    await sandbox.pty.resize(terminal.pid, { cols: 132, rows: 43 });
    await type('echo "now $(tput cols)x$(tput lines)"\n');
    await shows('now 132x43');
    await type('exit 7\n');
    await expect(terminal.wait()).rejects.toMatchObject({ exitCode: 7 });
  });

  test('is killed, once', async () => {
    const { terminal } = await open();
    expect(await sandbox.pty.kill(terminal.pid)).toBe(true);
    await expect(terminal.wait()).rejects.toMatchObject({ exitCode: -1 });
    expect(await sandbox.pty.kill(terminal.pid)).toBe(false);
  });

  test('is joined again after its caller left', async () => {
    const { terminal, type } = await open();
    await terminal.disconnect();
    let text = '';
    const again = await sandbox.pty.connect(terminal.pid, {
      onData: (data) => void (text += Buffer.from(data).toString()),
    });
    await type('echo "again $((40 + 2))"\n');
    await eventually(
      async () => text,
      (shown) => shown.includes('again 42'),
      10_000,
      20,
    );
    expect(await again.kill()).toBe(true);
  });
});

describe('git', () => {
  test('commits, branches, clones and pushes', async () => {
    const { git } = sandbox;
    await git.configureUser('Ada', 'ada@example.com');
    await git.init('/tmp/repo', { initialBranch: 'main' });
    await sandbox.files.write('/tmp/repo/a.txt', 'one\n');
    expect((await git.status('/tmp/repo')).fileStatus.map(({ name }) => name)).toEqual(['a.txt']);
    await git.add('/tmp/repo');
    await git.commit('/tmp/repo', 'first');
    await git.createBranch('/tmp/repo', 'side');
    expect(await git.branches('/tmp/repo')).toMatchObject({ currentBranch: 'side', branches: ['main', 'side'] });
    await run('git init --bare -b main /tmp/origin.git');
    await git.remoteAdd('/tmp/repo', 'origin', '/tmp/origin.git');
    await git.checkoutBranch('/tmp/repo', 'main');
    await git.push('/tmp/repo', { remote: 'origin', branch: 'main' });
    await git.clone('/tmp/origin.git', { path: '/tmp/clone' });
    expect(await sandbox.files.read('/tmp/clone/a.txt')).toBe('one\n');
  });
});
