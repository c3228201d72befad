import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { isRefused, type Machines } from '../../src/domains/machines/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { machinesWorld } from './machines-world.ts';

const world = machinesWorld();
const { op, started } = world;
let machines: Machines;
let id: MachineId;

beforeEach(async () => {
  ({ machines } = world);
  id = await started();
});

const MIB = 1_048_576;

const text = async (command: string, user = 'user') => {
  const outcome = await machines.exec(op(), id, { command, user });
  expect({ kind: outcome.kind, stderr: outcome.stderr.toString() }).toEqual({ kind: 'exited', stderr: '' });
  return outcome.stdout.toString().trim();
};

async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* chunksOf(chunk: Buffer, count: number, hash = createHash('sha256')): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < count; sent++) {
    hash.update(chunk);
    yield chunk;
  }
}

describe('a large file', () => {
  test('goes in and out as a stream, whole and in parts', async () => {
    const hash = createHash('sha256');
    const written = await machines.writeStream(op(), id, 'big', chunksOf(randomBytes(MIB), 100, hash), { mode: 0o600 });
    expect(written).toMatchObject({ size: 100 * MIB, mode: 0o600, owner: 'user', path: '/home/user/big' });
    const wanted = hash.digest('hex');
    expect(await text('sha256sum big')).toMatch(wanted);
    const { stat, content } = await machines.readStream(op(), id, 'big');
    expect(stat.size).toBe(100 * MIB);
    const back = createHash('sha256');
    for await (const chunk of content) back.update(chunk as Buffer);
    expect(back.digest('hex')).toBe(wanted);
    await machines.writeStream(op(), id, 'abc', chunksOf(Buffer.from('abcdef'), 1));
    const part = await machines.readStream(op(), id, 'abc', { offset: 2, length: 3 });
    expect((await bytesOf(part.content)).toString()).toBe('cde');
  });

  test('that the disk has no room for, or whose sender fails, changes nothing of what is there', async () => {
    await machines.writeFile(op(), id, 'kept', 'precious');
    await expect(machines.writeStream(op(), id, 'kept', chunksOf(randomBytes(MIB), 400))).rejects.toMatchObject({
      code: 'too_large',
    });
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('half');
      throw new Error('the sender went away');
    }
    await expect(machines.writeStream(op(), id, 'kept', broken())).rejects.toThrow('the sender went away');
    expect(await text('cat kept; ls -A | grep -v "^\\.bash\\|^\\.profile"')).toBe('preciouskept');
  });

  test('that is not wanted any more, or whose machine ends, ends', async () => {
    await text('truncate -s 150M big');
    const wanted = new AbortController();
    const first = await machines.readStream({ ...op(), signal: wanted.signal }, id, 'big');
    wanted.abort(new Error('not any more'));
    await expect(bytesOf(first.content)).rejects.toThrow('not any more');
    const second = await machines.readStream(op(), id, 'big');
    await machines.destroy(op(), id);
    await expect(bytesOf(second.content)).rejects.toMatchObject({
      code: 'conflict',
      message: 'The machine is not running.',
    });
  });
});

describe('files', () => {
  test('are looked at, listed in depth, moved and removed', async () => {
    await machines.writeFile(op(), id, 'tree/a/file', 'x');
    await machines.makeDirectory(op(), id, 'tree/b');
    await text('ln -s a/file tree/link');
    expect(await machines.stat(op(), id, 'tree/link')).toMatchObject({
      kind: 'symlink',
      targetKind: 'file',
      target: '/home/user/tree/a/file',
    });
    expect(await machines.stat(op(), id, 'tree/link', { follow: true })).toMatchObject({ kind: 'file', size: 1 });
    const names = (depth: number) =>
      machines.listTree(op(), id, 'tree', { depth }, ({ entries }) =>
        entries.map(({ path }) => path.slice('/home/user/'.length)),
      );
    expect(await names(1)).toEqual(['tree/a', 'tree/b', 'tree/link']);
    expect(await names(2)).toEqual(['tree/a', 'tree/a/file', 'tree/b', 'tree/link']);
    expect(await machines.listTree(op(), id, 'tree', { depth: 2, limit: 2 }, ({ truncated }) => truncated)).toBe(true);
    await machines.move(op(), id, 'tree/a/file', 'else/where/file');
    expect(await text('cat else/where/file; ls tree/a')).toBe('x');
    await machines.remove(op(), id, 'tree');
    const gone = () => machines.stat(op(), id, 'tree');
    await expect(gone()).rejects.toMatchObject({ code: 'not_found', message: 'No such file or directory' });
    await expect(machines.remove(op(), id, 'tree')).rejects.toMatchObject({ code: 'not_found' });
    await expect(machines.makeDirectory(op(), id, 'else')).rejects.toMatchObject({ code: 'conflict' });
    await expect(machines.makeDirectory(op(), id, 'else/where/file')).rejects.toMatchObject({ code: 'invalid' });
    await expect(machines.remove(op(), id, '/etc/passwd')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(machines.move(op(), id, '/etc/passwd', 'mine')).rejects.toMatchObject({ code: 'forbidden' });
    for (const limits of [{ depth: 0 }, { depth: 1.5 }, { limit: 0 }])
      await expect(machines.listTree(op(), id, '.', limits, () => {})).rejects.toMatchObject({ code: 'invalid' });
  });

  test('carry attributes of the user, which are replaced as a whole', async () => {
    const write = (xattrs: Record<string, string>) =>
      machines.writeStream(op(), id, 'tagged', chunksOf(Buffer.from('x'), 1), { xattrs, xattrPrefix: 'user.meta.' });
    expect(await write({ 'user.meta.a': '1', 'user.meta.b': '2' })).toMatchObject({
      xattrs: { 'user.meta.a': '1', 'user.meta.b': '2' },
    });
    expect((await write({ 'user.meta.c': '3' })).xattrs).toEqual({ 'user.meta.c': '3' });
    const refused: Record<string, string>[] = [
      { 'security.x': '1' },
      { 'user.': '1' },
      { 'user.x': 'x'.repeat(5_000) },
    ];
    for (const xattrs of refused) await expect(write(xattrs)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('tell what happens to them', async () => {
    await text('mkdir -p seen/deep');
    const watch = await machines.watch(op(), id, 'seen', { recursive: true });
    await text('echo x > seen/deep/file; rm seen/deep/file');
    const told: string[] = [];
    for await (const { path, type } of watch) {
      told.push(`${type} ${path}`);
      if (type === 'remove') break;
    }
    watch.close();
    expect(told[0]).toBe('create deep/file');
    expect(told).toContain('write deep/file');
    expect(told.at(-1)).toBe('remove deep/file');
    await expect(machines.watch(op(), id, 'nowhere')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a tree', () => {
  test('comes out as an archive and goes in again as it was', async () => {
    await text(`mkdir -p from/dir/empty && head -c 3M /dev/urandom > from/dir/bytes && ln -s dir/bytes from/link &&
      echo x > from/run.sh && chmod 750 from/run.sh && echo y > "from/$(printf 'od d\\n')"`);
    const archive = await bytesOf(await machines.downloadTree(op(), id, 'from'));
    await machines.uploadTree(op(), id, 'to/new', chunksOf(archive, 1));
    expect(await text('diff -r from to/new && stat -c %a to/new/run.sh && readlink to/new/link && ls to/new/dir')).toBe(
      '750\ndir/bytes\nbytes\nempty',
    );
    const single = await bytesOf(await machines.downloadTree(op(), id, 'from/run.sh'));
    await machines.uploadTree(op(), id, 'single', chunksOf(single, 1));
    expect(await text('ls single')).toBe('run.sh');
  });

  test('that cannot be read or unpacked is refused with the reason', async () => {
    await expect(machines.downloadTree(op(), id, 'nowhere')).rejects.toMatchObject({ code: 'not_found' });
    const unpack = (content: Buffer, path = 'to', count = 1) =>
      machines.uploadTree(op(), id, path, chunksOf(content, count));
    await expect(unpack(randomBytes(100_000))).rejects.toMatchObject({ code: 'invalid' });
    await expect(unpack(Buffer.alloc(10_240), '/etc')).resolves.toBeUndefined();
    const archive = await bytesOf(await machines.downloadTree(op(), id, '/etc/skel'));
    await expect(unpack(archive, '/etc')).rejects.toMatchObject({ code: 'forbidden' });
    await text('truncate -s 240M hollow && mkdir full && mv hollow full/');
    const large = await machines.downloadTree(op(), id, 'full');
    await expect(machines.uploadTree(op(), id, 'to', large)).rejects.toMatchObject({ code: 'too_large' });
    await text('chmod 000 full');
    await expect(machines.downloadTree(op(), id, 'full').then(bytesOf)).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('a port of a machine', () => {
  const SERVER = `import socket, sys
s = socket.create_server(('127.0.0.1', 8123))
print('listening', flush=True)
while True:
    c, _ = s.accept()
    d = c.recv(100)
    c.sendall(b'hello ' + d)
    c.close()`;

  test('is dialled, also on its loopback; where nothing listens that is said', async () => {
    const server = await machines.run(op(), id, { command: ['python3', '-c', SERVER] });
    for await (const event of server) if (event.kind === 'output') break;
    const connection = await machines.dial(op(), id, 8123);
    connection.write('you');
    expect((await bytesOf(connection)).toString()).toBe('hello you');
    const refused = await machines.dial(op(), id, 8124).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'conflict', message: 'Nothing listens on port 8124 of the machine.' });
    expect(isRefused(refused)).toBe(true);
    for (const port of [0, 65_536, 1.5])
      await expect(machines.dial(op(), id, port)).rejects.toMatchObject({ code: 'invalid' });
    const held = await machines.dial(op(), id, 8123);
    const ended = new Promise((resolve) => held.once('close', resolve));
    held.on('error', () => {}).resume();
    await machines.destroy(op(), id);
    await Promise.race([ended, sleep(5_000).then(() => Promise.reject(new Error('the connection stays open')))]);
    const gone = await machines.dial(op(), id, 8123).catch((error: unknown) => error);
    expect([isRefused(gone), gone]).toMatchObject([
      false,
      { code: 'conflict', message: 'The machine is not running.' },
    ]);
  });
});
