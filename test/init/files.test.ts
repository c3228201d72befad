import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InitError, type WatchEvent, type WriteOptions } from '../../src/domains/machines/init/index.ts';
import { all, BUILDS, collectContent, startMachine, type TestMachine } from './machine.ts';

const MIB = 1_048_576;
const user = 'user';

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}

describe.each(BUILDS)("a machine's files ($build)", ({ program }) => {
  let machine: TestMachine;

  beforeAll(async () => {
    machine = await startMachine(await program());
  });
  afterAll(async () => {
    expect(await machine.complaints()).toBe('');
    await machine.dispose();
  });

  const sh = async (command: string, as = user) => {
    const outcome = await machine.sh(command, { user: as });
    expect(outcome).toMatchObject({ stderr: '', exitCode: 0 });
    return outcome.stdout.trim();
  };
  const write = (path: string, text: string | Uint8Array, as: Partial<WriteOptions> = {}) =>
    machine.init.write(path, chunks(text), { user, ...as });
  const read = async (path: string, as: object = {}) =>
    (await collectContent(await machine.init.read(path, { user, ...as }))).toString();
  const failing = (work: Promise<unknown>) =>
    work.then(
      () => 'nothing',
      (error: Error) => (error instanceof InitError ? error.errno : error.message),
    );

  test('are written with their parents, as the user that writes, and read back unchanged', async () => {
    const bytes = randomBytes(300_000);
    const written = await write('/home/user/new/deep/file.bin', bytes);
    expect(written).toMatchObject({
      name: 'file.bin',
      path: '/home/user/new/deep/file.bin',
      kind: 'file',
      size: 300_000,
      mode: 0o644,
      uid: 64_001,
      gid: 64_001,
      owner: 'user',
      group: 'user',
      target: undefined,
      targetKind: undefined,
      xattrs: {},
    });
    expect(Math.abs(written.modifiedAt.getTime() - Date.now())).toBeLessThan(5_000);
    const { stat, content } = await machine.init.read('/home/user/new/deep/file.bin', { user });
    expect(stat).toEqual(written);
    expect(Buffer.concat(await all(content)).equals(bytes)).toBe(true);
    expect(await sh('stat -c %a:%U new new/deep; ls -A new/deep')).toBe('755:user\n755:user\nfile.bin');
  });

  test('are read in part', async () => {
    await write('/home/user/digits', '0123456789');
    expect(await read('/home/user/digits', { offset: 3 })).toBe('3456789');
    expect(await read('/home/user/digits', { offset: 3, length: 2 })).toBe('34');
    expect(await read('/home/user/digits', { offset: 8, length: 100 })).toBe('89');
    expect(await read('/home/user/digits', { offset: 100 })).toBe('');
    expect(await read('/home/user/digits', { length: 0 })).toBe('');
    expect(await read('/proc/sys/kernel/ostype')).toBe('Linux\n');
  });

  test('that are there keep their mode and their owner, unless a mode is given', async () => {
    await sh('echo old > kept; chmod 2751 kept');
    expect(await write('/home/user/kept', 'new')).toMatchObject({ mode: 0o2751, size: 3 });
    expect(await write('/home/user/kept', 'newer', { user: 'root' })).toMatchObject({ mode: 0o2751, owner: 'user' });
    expect(await write('/home/user/kept', 'x', { mode: 0o600 })).toMatchObject({ mode: 0o600 });
    expect(await write('/home/user/made', 'x', { mode: 0o755 })).toMatchObject({ mode: 0o755 });
  });

  test('are written through links, also through one that leads to nothing yet', async () => {
    await sh(
      'mkdir -p links/real; echo a > links/real/a; ln -s real/a links/a; ln -s real/b links/b; ln -s loop links/loop',
    );
    await write('/home/user/links/a', 'through');
    await write('/home/user/links/b', 'made');
    expect(await sh('readlink links/a links/b; cat links/real/a links/real/b')).toBe('real/a\nreal/b\nthroughmade');
    expect(await failing(write('/home/user/links/loop', 'x'))).toBe('ELOOP');
  });

  test('carry attributes of the user, of which a prefix is replaced as a whole', async () => {
    const path = '/home/user/marked';
    await write(path, 'x', { xattrs: { 'user.app.a': '1', 'user.app.b': 'é=2', 'user.other': 'stays' } });
    const { xattrs } = await write(path, 'y', { xattrs: { 'user.app.c': '3' }, xattrPrefix: 'user.app.' });
    expect(xattrs).toEqual({ 'user.app.c': '3', 'user.other': 'stays' });
    expect((await write(path, 'z')).xattrs).toEqual(xattrs);
    expect((await machine.init.stat(path, { user, follow: true })).xattrs).toEqual(xattrs);
    expect(await failing(write(path, 'z', { xattrs: { 'security.x': '1' } }))).toBe('EINVAL');
  });

  test('that are no files say so', async () => {
    await sh(
      'mkdir -p odd; mkfifo odd/fifo; rm -f odd/socket; python3 -c "import socket; socket.socket(1).bind(\'odd/socket\')" || true',
    );
    expect(await failing(machine.init.read('/home/user/odd', { user }))).toBe('EISDIR');
    expect(await failing(write('/home/user/odd', 'x'))).toBe('EISDIR');
    expect(await failing(write('/home/user/odd/new/', 'x'))).toBe('EISDIR');
    for (const path of ['/home/user/odd/fifo', '/dev/null', '/dev/zero', '/dev/ptmx']) {
      expect(await failing(machine.init.read(path, { user }))).toBe('EINVAL');
      expect(await failing(write(path, 'x', { user: 'root' }))).toBe('EINVAL');
    }
    expect(await failing(machine.init.read('/home/user/none', { user }))).toBe('ENOENT');
    expect(await failing(machine.init.read('/etc/passwd/x', { user }))).toBe('ENOTDIR');
    expect(await failing(write('/etc/passwd/x', 'x', { user: 'root' }))).toBe('ENOTDIR');
    expect(await failing(machine.init.read('relative', { user }))).toBe('EINVAL');
    expect(await failing(machine.init.read(`/${'x'.repeat(5_000)}`, { user }))).toBe('EINVAL');
    expect(await failing(machine.init.read('/etc/passwd', { user: 'nobody-here' }))).toBe('ENOENT');
  });

  test('of another user are neither read, written, listed, moved nor removed', async () => {
    await sh(
      'echo secret > /home/other/file; chmod 600 /home/other/file; mkdir -p /tmp/others; echo x > /tmp/others/x',
      'other',
    );
    await sh('echo x > /tmp/locked; chmod 444 /tmp/locked', 'root');
    const { init } = machine;
    const attempts = [
      init.read('/home/other/file', { user }),
      init.stat('/home/other/file', { user, follow: false }),
      init.list('/home/other', { user, depth: 1, limit: 10 }),
      init.watch('/home/other', { user, recursive: true }),
      init.makeDirectory('/home/other/made', { user }),
      write('/home/other/file', 'x'),
      write('/home/other/new', 'x'),
      write('/tmp/locked', 'x'),
      write('/etc/new', 'x'),
      init.move('/tmp/others/x', '/tmp/x', { user }),
      init.remove('/tmp/others/x', { user }),
      init.remove('/tmp/others', { user }),
    ];
    for (const error of await Promise.all(attempts.map(failing))) expect(error).toMatch(/^(EACCES|EPERM)$/);
    expect(await read('/home/other/file', { user: 'root' })).toBe('secret\n');
  });

  test('that may be written where nothing may be put beside them are written in their place', async () => {
    await sh('echo "a longer text" > /etc/shared; chmod 666 /etc/shared', 'root');
    expect(await write('/etc/shared', 'short')).toMatchObject({ size: 5, mode: 0o666, owner: 'root' });
    expect(await read('/etc/shared')).toBe('short');
  });

  test('on a full disk stay what they were, and nothing half-written is left', async () => {
    await write('/small/file', 'old');
    const big = Array.from({ length: 40 }, () => randomBytes(65_536));
    expect(await failing(machine.init.write('/small/file', chunks(...big), { user }))).toBe('ENOSPC');
    expect(await read('/small/file')).toBe('old');
    expect(await sh('ls -A /small')).toBe('file');
  });

  test('whose sender goes away in the middle stay what they were', async () => {
    await write('/home/user/half', 'old');
    async function* broken() {
      yield Buffer.from('new');
      throw new Error('gone');
    }
    await expect(machine.init.write('/home/user/half', broken(), { user })).rejects.toThrow('gone');
    expect(await read('/home/user/half')).toBe('old');
    await expect.poll(() => sh('ls -A | grep -c freehold; true')).toBe('0');
  });

  test('of 50 MB go in and out as a stream, with little memory at either end', async () => {
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    const block = randomBytes(MIB);
    async function* content() {
      for (let index = 0; index < 50; index++) {
        block.writeUInt32BE(index);
        sent.update(block);
        yield Buffer.from(block);
      }
    }
    await machine.init.write('/home/user/large', content(), { user });
    const { stat, content: back } = await machine.init.read('/home/user/large', { user });
    expect(stat.size).toBe(50 * MIB);
    back.once('readable', () => {});
    // Nobody reads: the machine's side waits, and holds no more than its buffers.
    await sleep(200);
    const resident = await sh('ps -C freehold-call -o rss= | sort -n | tail -1', 'root');
    expect(Number(resident)).toBeLessThan(40_000);
    for await (const chunk of back) received.update(chunk as Buffer);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    await machine.init.remove('/home/user/large', { user });
  });

  test('are told with what links lead to', async () => {
    await sh(
      'mkdir -p told; cd told; echo x > file; mkdir dir; ln -s file to-file; ln -s ../told/dir to-dir; ln -s /no/where dead; ln -s no/where near',
    );
    const { entries } = await machine.init.list('/home/user/told', { user, depth: 1, limit: 100 });
    expect(entries.map(({ name, kind, targetKind, target }) => [name, kind, targetKind, target])).toEqual([
      ['dead', 'symlink', undefined, '/no/where'],
      ['dir', 'directory', undefined, undefined],
      ['file', 'file', undefined, undefined],
      ['near', 'symlink', undefined, '/home/user/told/no/where'],
      ['to-dir', 'symlink', 'directory', '/home/user/told/dir'],
      ['to-file', 'symlink', 'file', '/home/user/told/file'],
    ]);
    const follow = (path: string) => machine.init.stat(path, { user, follow: true });
    expect(await follow('/home/user/told/to-dir')).toMatchObject({
      kind: 'directory',
      name: 'to-dir',
      target: '/home/user/told/dir',
    });
    expect(await failing(follow('/home/user/told/dead'))).toBe('ENOENT');
    expect(await follow('/')).toMatchObject({ kind: 'directory', name: '/', path: '/' });
    expect(await follow('/home/user/')).toMatchObject({ name: 'user' });
  });

  test('are listed to a depth, each directory before what is in it, by name, up to a limit', async () => {
    await sh(
      'mkdir -p tree/b/c tree/a/z/y tree/secret; touch tree/b/c/f tree/a/z/y/g tree/B; chmod 000 tree/secret; ln -s .. tree/up',
    );
    const list = async (depth: number, limit = 100) => {
      const { entries, truncated } = await machine.init.list('/home/user/tree/', { user, depth, limit });
      return [...entries.map(({ path }) => path.slice('/home/user/tree/'.length)), truncated];
    };
    expect(await list(1)).toEqual(['B', 'a', 'b', 'secret', 'up', false]);
    expect(await list(2)).toEqual(['B', 'a', 'a/z', 'b', 'b/c', 'secret', 'up', false]);
    expect(await list(9)).toEqual(['B', 'a', 'a/z', 'a/z/y', 'a/z/y/g', 'b', 'b/c', 'b/c/f', 'secret', 'up', false]);
    expect(await list(9, 3)).toEqual(['B', 'a', 'a/z', true]);
    expect(await list(9, 10)).toEqual([
      'B',
      'a',
      'a/z',
      'a/z/y',
      'a/z/y/g',
      'b',
      'b/c',
      'b/c/f',
      'secret',
      'up',
      false,
    ]);
    expect(await failing(machine.init.list('/etc/passwd', { user, depth: 1, limit: 1 }))).toBe('ENOTDIR');
    expect(await failing(machine.init.list('/no/such', { user, depth: 1, limit: 1 }))).toBe('ENOENT');
  });

  test('of a directory with very many are listed by name up to the limit', async () => {
    await sh('mkdir -p many; cd many; seq -w 5000 | xargs touch');
    const { entries, truncated } = await machine.init.list('/home/user/many', { user, depth: 1, limit: 20 });
    expect([entries.map(({ name }) => name), truncated]).toEqual([
      Array.from({ length: 20 }, (_, index) => String(index + 1).padStart(4, '0')),
      true,
    ]);
  });

  test('have directories, which are made with their parents, once', async () => {
    const make = (path: string) => machine.init.makeDirectory(path, { user });
    expect(await make('/home/user/made1/made2/made3')).toMatchObject({ kind: 'directory', mode: 0o755, owner: 'user' });
    expect(await failing(make('/home/user/made1'))).toBe('EEXIST');
    await write('/home/user/made1/file', 'x');
    expect(await failing(make('/home/user/made1/file'))).toBe('ENOTDIR');
    expect(await failing(make('/home/user/made1/file/x'))).toBe('ENOTDIR');
  });

  test('are moved, into directories that are made for it', async () => {
    await write('/home/user/from', 'moved');
    const move = (source: string, destination: string) => machine.init.move(source, destination, { user });
    expect(await move('/home/user/from', '/home/user/x/y/to')).toMatchObject({ path: '/home/user/x/y/to', size: 5 });
    await write('/home/user/over', 'gone');
    await move('/home/user/x/y/to', '/home/user/over');
    expect(await read('/home/user/over')).toBe('moved');
    expect(await failing(move('/home/user/none', '/home/user/none2'))).toBe('ENOENT');
    expect(await failing(move('/home/user/over', '/home/user/x'))).toBe('EISDIR');
  });

  test('are removed with all that is in them, but never what a link leads to', async () => {
    await sh(
      'mkdir -p gone/a/b target; echo kept > target/file; ln -s ../target gone/link; ln -s target dirlink; seq 3000 | (cd gone/a/b; xargs touch)',
    );
    await machine.init.remove('/home/user/gone', { user });
    await machine.init.remove('/home/user/dirlink/', { user });
    expect(await sh('ls -d gone dirlink 2>/dev/null; cat target/file')).toBe('kept');
    expect(await failing(machine.init.remove('/home/user/gone', { user }))).toBe('ENOENT');
    expect(await failing(machine.init.remove('/', { user: 'root' }))).toBe('EBUSY');
  });

  test('are watched: what is made, written, renamed, changed and removed is told', async () => {
    await sh('mkdir -p seen/sub');
    const watch = await machine.init.watch('/home/user/seen', { user, recursive: false });
    await sh('cd seen; echo x > a; chmod 600 a; mv a b; rm b; echo hidden > sub/c');
    await sh('touch seen/last');
    expect(await eventsUntil(watch, 'last')).toEqual([
      'create a',
      'write a',
      'chmod a',
      'rename a',
      'create b',
      'remove b',
      'create last',
    ]);
    watch.close();
    expect(await all(watch)).toEqual([]);
    expect(await failing(machine.init.watch('/etc/passwd', { user, recursive: false }))).toBe('ENOTDIR');
    expect(await failing(machine.init.watch('/no/such', { user, recursive: false }))).toBe('ENOENT');
  });

  test('are watched below as well, in directories that come, move and go while watched', async () => {
    await sh('mkdir -p deep/old');
    const watch = await machine.init.watch('/home/user/deep', { user, recursive: true });
    await sh(
      'cd deep; mkdir -p n1/n2/n3; echo x > n1/n2/n3/f; echo x > old/g; sleep 0.2; mv n1 m1; sleep 0.1; echo y > m1/n2/n3/h; rm -r m1',
    );
    await sh('mv deep/old away; sleep 0.1; echo z > away/z; touch deep/last');
    const told = await eventsUntil(watch, 'last');
    for (const event of [
      'create n1',
      'create n1/n2/n3',
      'create n1/n2/n3/f',
      'create old/g',
      'rename n1',
      'create m1',
      'create m1/n2/n3/h',
      'remove m1/n2/n3/h',
      'remove m1/n2',
      'remove m1',
    ])
      expect(told).toContain(event);
    expect(told).not.toContain('create old/z');
    await sh('rm -r deep');
    expect((await all(watch)).at(-1)).toEqual({ path: '.', type: 'remove' });
  });

  test('can be watched for long, however many directories come and go', async () => {
    await sh('mkdir -p busy');
    const watch = await machine.init.watch('/home/user/busy', { user, recursive: true });
    const working = sh('cd busy; for i in $(seq 20); do mkdir -p $(seq -f d%g/x 200); rm -r d*; done; touch last');
    const told = await eventsUntil(watch, 'last');
    await working;
    expect(told.filter((event) => event === 'remove d7').length).toBe(20);
    watch.close();
  });
});

async function eventsUntil(watch: AsyncIterable<WatchEvent>, path: string): Promise<string[]> {
  const told: string[] = [];
  for await (const event of watch) {
    told.push(`${event.type} ${event.path}`);
    if (event.path === path) return told;
  }
  return told;
}
