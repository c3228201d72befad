import { createHash, randomBytes } from 'node:crypto';
import {
  FileNotFoundError,
  FileType,
  InvalidArgumentError,
  SandboxError,
  type FilesystemEvent,
  type FilesystemEventType,
  type Sandbox,
} from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, request } from '../harness/agent.ts';
import { startClient, type Client } from './client.ts';

let client: Client;
let sandbox: Sandbox;
beforeAll(async () => {
  client = await startClient();
  sandbox = await client.create();
});
afterAll(() => client?.stop());

const shell = async (command: string) => (await sandbox.commands.run(command)).stdout;
const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

describe('a file', () => {
  test('is written with its directories, belongs to who wrote it, and is read back', async () => {
    expect(await sandbox.files.write('deep/er/a.txt', 'hello')).toMatchObject({
      name: 'a.txt',
      path: '/home/user/deep/er/a.txt',
      type: 'file',
    });
    expect(await sandbox.files.read('deep/er/a.txt')).toBe('hello');
    expect(await shell('stat -c "%U:%G %a" deep/er/a.txt deep/er')).toBe('user:user 644\nuser:user 755\n');
    await sandbox.files.write('of-root', 'x', { user: 'root' });
    expect(await shell('sudo stat -c "%U %n" /root/of-root')).toBe('root /root/of-root\n');
    await expect(sandbox.files.read('/root/of-root')).rejects.toThrow();
    await expect(sandbox.files.write('/root/mine', 'x')).rejects.toThrow();
  });

  test('of eight megabytes passes by stream, form and compressed, byte for byte', async () => {
    const data = randomBytes(8_000_000);
    const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
    await sandbox.files.write('form', bytes);
    await sandbox.files.write('octets', bytes, { useOctetStream: true });
    await sandbox.files.write('gz', bytes, { gzip: true });
    await sandbox.files.write('stream', new Blob([bytes]).stream());
    const sums = (await shell('sha256sum form octets gz stream | cut -d" " -f1')).trim().split('\n');
    expect(new Set(sums)).toEqual(new Set([sha256(data)]));
    expect(sha256(await sandbox.files.read('form', { format: 'bytes' }))).toBe(sha256(data));
    const parts: Uint8Array[] = [];
    for await (const part of (await sandbox.files.read('stream', {
      format: 'stream',
      gzip: true,
    })) as unknown as AsyncIterable<Uint8Array>)
      parts.push(part);
    expect(sha256(Buffer.concat(parts))).toBe(sha256(data));
  });

  test('that does not fit is refused, and what was there stays', async () => {
    await sandbox.files.write('precious', 'old');
    const [, free = '0'] = /(\d+)\n$/.exec(await shell('df --output=avail -B1 /home/user | tail -1')) ?? [];
    const chunk = new Uint8Array(1_000_000);
    let left = Number(free) + 50_000_000;
    const tooMuch = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (left <= 0) return controller.close();
        left -= chunk.length;
        controller.enqueue(chunk);
      },
    });
    const failure = await sandbox.files.write('precious', tooMuch).catch((error: unknown) => error);
    expect(String(failure)).toMatch(/space|507/i);
    expect(await sandbox.files.read('precious')).toBe('old');
    expect(await shell('ls -A | grep -c precious')).toBe('1\n');
  });

  test('of the kernel is read although it says that it is empty', async () => {
    expect(await shell('stat -c %s /proc/sys/kernel/random/uuid')).toBe('0\n');
    expect(await sandbox.files.read('/proc/sys/kernel/random/uuid')).toMatch(/^[0-9a-f-]{36}\n$/);
  });

  test('that is missing, a directory or a device is refused in words', async () => {
    await expect(sandbox.files.read('nothing')).rejects.toBeInstanceOf(FileNotFoundError);
    await expect(sandbox.files.read('/tmp')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(sandbox.files.read('/dev/zero')).rejects.toBeInstanceOf(SandboxError);
    await expect(sandbox.files.write('/tmp', 'x')).rejects.toBeInstanceOf(SandboxError);
    await expect(sandbox.files.write('/etc/passwd/x', 'x')).rejects.toBeInstanceOf(SandboxError);
  });

  test('has a description with it, which the machine sees and may change', async () => {
    const written = await sandbox.files.write('described', 'x', { metadata: { Author: 'me', note: 'a b' } });
    expect(written.metadata).toEqual({ author: 'me', note: 'a b' });
    expect((await sandbox.files.getInfo('described')).metadata).toEqual({ author: 'me', note: 'a b' });
    await sandbox.files.rename('described', 'moved/described');
    expect((await sandbox.files.list('moved'))[0]?.metadata).toEqual({ author: 'me', note: 'a b' });
    await shell(`python3 -c "import os; os.setxattr('moved/described', 'user.e2b.seen', b'yes')"`);
    expect((await sandbox.files.getInfo('moved/described')).metadata).toEqual({
      author: 'me',
      note: 'a b',
      seen: 'yes',
    });
    await sandbox.files.write('moved/described', 'y');
    expect((await sandbox.files.getInfo('moved/described')).metadata).toBeUndefined();
  });
});

describe('the file system', () => {
  test('lists what is in a directory, as deep as asked, in order', async () => {
    await shell('mkdir -p tree/b/c && touch tree/a tree/b/c/d tree/z && ln -s b tree/link');
    const names = async (depth?: number) => (await sandbox.files.list('tree', { depth })).map(({ path }) => path);
    const at = (name: string) => `/home/user/tree/${name}`;
    expect(await names()).toEqual([at('a'), at('b'), at('link'), at('z')]);
    expect(await names(3)).toEqual([at('a'), at('b'), at('b/c'), at('b/c/d'), at('link'), at('z')]);
    await expect(sandbox.files.list('tree/a')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(sandbox.files.list('nothing')).rejects.toBeInstanceOf(FileNotFoundError);
    await shell('ln -s tree way');
    expect((await sandbox.files.list('way')).map(({ path }) => path)).toContain('/home/user/way/a');
  });

  test('tells files of any time, size and name that a machine can give them, and those beside them', async () => {
    await shell('mkdir /dev/shm/odd; cd /dev/shm/odd; touch -d @8640000000000.9 far; touch -d @99999999999999 farther');
    await shell('cd /dev/shm/odd; touch -d @-99999999999 past; truncate -s 9223372036854775807 huge; echo x > plain');
    await shell(String.raw`cd /dev/shm/odd; touch "$(printf 'a\377b\nc')"`);
    const entries = await sandbox.files.list('/dev/shm/odd');
    expect(entries.map(({ name, modifiedTime, size }) => [name, modifiedTime?.getUTCFullYear(), size])).toEqual([
      ['a\ufffdb\nc', new Date().getUTCFullYear(), 0],
      ['far', 9999, 0],
      ['farther', 9999, 0],
      ['huge', new Date().getUTCFullYear(), Number.MAX_SAFE_INTEGER],
      ['past', 1, 0],
      ['plain', new Date().getUTCFullYear(), 2],
    ]);
    const path = `/v1/sandboxes/${sandbox.sandboxId}/files/list?path=/dev/shm/odd`;
    const { status, body } = await request(client.server.url, 'GET', path, { key: client.agent.key });
    expect([status, body.files.length]).toEqual([200, 6]);
    await shell('rm -r /dev/shm/odd');
  });

  test('shows a link with its own size and its target’s type, and none that leads nowhere', async () => {
    await shell(
      'mkdir -p links && cd links && printf hello > file && chmod 640 file && ln -s file l && ln -s nowhere dead',
    );
    const link = await sandbox.files.getInfo('links/l');
    expect(link).toMatchObject({
      type: FileType.FILE,
      mode: 0o640,
      permissions: 'Lrwxrwxrwx',
      size: 4,
      symlinkTarget: '/home/user/links/file',
    });
    expect((await sandbox.files.list('links')).map(({ name }) => name)).toEqual(['file', 'l']);
    expect(await sandbox.files.getInfo('links/file')).toMatchObject({
      owner: 'user',
      group: 'user',
      permissions: '-rw-r-----',
      size: 5,
    });
  });

  test('makes, moves and removes, and says what was there before', async () => {
    expect(await sandbox.files.makeDir('made/deep')).toBe(true);
    expect(await sandbox.files.makeDir('made/deep')).toBe(false);
    await sandbox.files.write('made/file', 'x');
    await expect(sandbox.files.makeDir('made/file')).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(await sandbox.files.rename('made/file', 'else/where/file')).toMatchObject({
      path: '/home/user/else/where/file',
    });
    await expect(sandbox.files.rename('made/file', 'x')).rejects.toBeInstanceOf(FileNotFoundError);
    await sandbox.files.remove('made');
    await sandbox.files.remove('made');
    expect([await sandbox.files.exists('made'), await sandbox.files.exists('else/where/file')]).toEqual([false, true]);
  });

  test('ends at the machine: links, dots and devices lead to nothing of the host', async () => {
    await shell('ln -s /../../../../etc/hostname out && ln -s /proc/1/root/etc/hostname in');
    const own = await shell('cat /etc/hostname');
    expect(await sandbox.files.read('out')).toBe(own);
    expect(await sandbox.files.read('../../../../../etc/hostname')).toBe(own);
  });
});

describe('a watched directory', () => {
  const watch = async (directory: string, options = {}) => {
    const events: FilesystemEvent[] = [];
    const handle = await sandbox.files.watchDir(directory, (event) => void events.push(event), options);
    const seen = (type: `${FilesystemEventType}`, name: string) =>
      eventually(
        async () => events,
        (all) => all.some((event) => `${event.type} ${event.name}` === `${type} ${name}`),
        10_000,
        20,
      );
    return { events, handle, seen };
  };

  test('tells of everything that happens in it', async () => {
    await sandbox.files.makeDir('watched');
    const { handle, seen } = await watch('watched');
    await sandbox.files.write('watched/a', '1');
    await seen('create', 'a');
    await shell('echo 2 >> watched/a');
    await seen('write', 'a');
    await shell('chmod 600 watched/a');
    await seen('chmod', 'a');
    await shell('mv watched/a watched/b');
    await seen('rename', 'a');
    await shell('rm watched/b');
    await seen('remove', 'b');
    await handle.stop();
  });

  test('that is watched with all below it tells of new directories at once, with their entries', async () => {
    await sandbox.files.makeDir('deeply');
    const { events, handle, seen } = await watch('deeply', { recursive: true, includeEntry: true });
    await sandbox.files.makeDir('deeply/new/er');
    await seen('create', 'new');
    await sandbox.files.write('deeply/new/er/f.txt', 'x');
    await seen('write', 'new/er/f.txt');
    const { entry } = events.find(({ name }) => name === 'new') ?? {};
    expect(entry).toMatchObject({ path: '/home/user/deeply/new', type: 'dir' });
    await handle.stop();
  });

  test('is told of a write by the client to a file that was there', async () => {
    await sandbox.files.write('written/there', 'old');
    const { events, handle, seen } = await watch('written');
    await sandbox.files.write('written/there', 'new');
    await seen('write', 'there');
    expect(events.filter(({ name }) => name !== 'there')).toEqual([]);
    await handle.stop();
  });

  test('must be one', async () => {
    await expect(sandbox.files.watchDir('nothing', () => {})).rejects.toBeInstanceOf(FileNotFoundError);
    await sandbox.files.write('plain', 'x');
    await expect(sandbox.files.watchDir('plain', () => {})).rejects.toBeInstanceOf(SandboxError);
  });
});

describe('a signed URL', () => {
  test('opens one file of one sandbox at the server’s origin, until its time is over', async () => {
    const other = await client.create();
    await sandbox.files.write('signed.txt', 'of the first');
    await other.files.write('signed.txt', 'of the second');
    const url = await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60 });
    expect(new URL(url).pathname).toBe('/files');
    expect(await (await fetch(url)).text()).toBe('of the first');
    expect(await (await fetch(await other.downloadUrl('signed.txt'))).text()).toBe('of the second');
    const late = await fetch(await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: -60 }));
    expect([late.status, await late.json()]).toEqual([401, { code: 401, message: 'signature is already expired' }]);
    await other.kill();
  });

  test('takes an upload, as any user', async () => {
    const form = new FormData();
    form.append('file', 'file content');
    const reply = await fetch(await sandbox.uploadUrl('up.txt', { user: 'root' }), { method: 'POST', body: form });
    expect([reply.status, await reply.json()]).toEqual([200, [{ name: 'up.txt', path: '/root/up.txt', type: 'file' }]]);
  });
});
