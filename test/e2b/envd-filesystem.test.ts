import { FileNotFoundError, Sandbox } from 'e2b';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../harness/agent.ts';
import { collect, stream, unary } from './frames.ts';
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
  inside.files.clear();
  inside.watches.length = 0;
});
afterAll(async () => {
  expect(inside.failures).toEqual([]);
  await inside.close();
});

const put = (path: string, content: string, kind: 'file' | 'directory' = 'file') =>
  void inside.files.set(path, { content: Buffer.from(content), xattrs: {}, kind });

describe('the file system', () => {
  test('shows an entry as the sheet says', async () => {
    put('/home/user/a.txt', 'hello');
    expect(await unary(inside.origin, 'filesystem.Filesystem/Stat', { path: 'a.txt' })).toEqual({
      status: 200,
      body: {
        entry: {
          name: 'a.txt',
          type: 'FILE_TYPE_FILE',
          path: '/home/user/a.txt',
          size: '5',
          mode: 0o644,
          permissions: '-rw-r--r--',
          owner: 'user',
          group: 'user',
          modifiedTime: '2026-01-02T03:04:05.678Z',
        },
      },
    });
  });

  test('tells a directory that is there from a file that is there', async () => {
    put('/home/user/file', 'x');
    expect(await sandbox.files.makeDir('new')).toBe(true);
    expect(await sandbox.files.makeDir('new')).toBe(false);
    expect(await unary(inside.origin, 'filesystem.Filesystem/MakeDir', { path: 'new' })).toMatchObject({
      status: 409,
      body: { code: 'already_exists' },
    });
    expect(await unary(inside.origin, 'filesystem.Filesystem/MakeDir', { path: 'file' })).toMatchObject({
      status: 400,
      body: { code: 'invalid_argument' },
    });
  });

  test('lists what is in a directory whole, however much that is', async () => {
    put('/home/user/many', '', 'directory');
    const list = async () => (await unary(inside.origin, 'filesystem.Filesystem/ListDir', { path: 'many' })).body;
    expect(await list()).toEqual({ entries: [] });
    const names = Array.from({ length: 300 }, (_, index) => `file ${index}`);
    for (const name of names) put(`/home/user/many/${name}`, name);
    const { entries } = await list();
    expect(entries.map(({ name }: { name: string }) => name)).toEqual(names);
    expect(new Set(entries.map(({ type }: { type: string }) => type))).toEqual(new Set(['FILE_TYPE_FILE']));
  });

  test('removes what is there, and does not mind what is not', async () => {
    put('/home/user/a', 'x');
    expect(await sandbox.files.exists('a')).toBe(true);
    await sandbox.files.remove('a');
    await sandbox.files.remove('a');
    expect(await sandbox.files.exists('a')).toBe(false);
  });

  test('does not move what is not there', async () => {
    await expect(sandbox.files.rename('nothing', 'b')).rejects.toBeInstanceOf(FileNotFoundError);
  });
});

describe('a watched directory', () => {
  beforeEach(() => put('/home/user/dir', '', 'directory'));
  const WATCH = 'filesystem.Filesystem/WatchDir';

  test('tells what happens in it, with the entry where that is wanted and there is one', async () => {
    put('/home/user/dir/a', 'hello');
    const leaving = new AbortController();
    const { frames } = await stream(
      inside.origin,
      WATCH,
      { path: 'dir', includeEntry: true },
      { signal: leaving.signal },
    );
    expect((await frames.next()).value).toEqual({ flags: 0, message: { start: {} } });
    const [watch] = inside.watches;
    watch?.tell({ path: 'a', type: 'write' });
    watch?.tell({ path: 'gone', type: 'create' });
    watch?.tell({ path: 'a', type: 'remove' });
    const next = async () => (await frames.next()).value?.message.filesystem;
    expect(await next()).toMatchObject({
      name: 'a',
      type: 'EVENT_TYPE_WRITE',
      entry: { path: '/home/user/dir/a', size: '5' },
    });
    expect(await next()).toEqual({ name: 'gone', type: 'EVENT_TYPE_CREATE' });
    expect(await next()).toEqual({ name: 'a', type: 'EVENT_TYPE_REMOVE' });
    leaving.abort();
    await eventually(
      async () => watch?.isOpen,
      (isOpen) => isOpen === false,
    );
  });

  test('must be a directory: what is wrong is told in the stream', async () => {
    put('/home/user/file', 'x');
    for (const [path, code] of [
      ['nothing', 'not_found'],
      ['file', 'invalid_argument'],
    ]) {
      const { status, frames } = await stream(inside.origin, WATCH, { path });
      expect([status, await collect(frames)]).toMatchObject([200, [{ flags: 2, message: { error: { code } } }]]);
    }
  });

  test('ends at the caller’s deadline', async () => {
    const { frames } = await stream(
      inside.origin,
      WATCH,
      { path: 'dir' },
      { headers: { 'connect-timeout-ms': '100' } },
    );
    expect((await collect(frames)).at(-1)).toMatchObject({
      flags: 2,
      message: { error: { code: 'deadline_exceeded' } },
    });
    await eventually(
      async () => inside.watches[0]?.isOpen,
      (isOpen) => isOpen === false,
    );
  });

  test('can be asked now and then, by who made the watcher only as long as it is there', async () => {
    const call = (method: string, message: unknown) => unary(inside.origin, `filesystem.Filesystem/${method}`, message);
    const { body } = await call('CreateWatcher', { path: 'dir' });
    const { watcherId } = body;
    inside.watches[0]?.tell({ path: 'a', type: 'create' });
    await eventually(
      async () => (await call('GetWatcherEvents', { watcherId })).body.events,
      (events) => events.length > 0,
    ).then((events) => expect(events).toEqual([{ name: 'a', type: 'EVENT_TYPE_CREATE' }]));
    expect((await call('GetWatcherEvents', { watcherId })).body).toEqual({ events: [] });
    expect((await call('RemoveWatcher', { watcherId })).body).toEqual({});
    expect(await call('GetWatcherEvents', { watcherId })).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect(inside.watches[0]?.isOpen).toBe(false);
  });

  test('is over where more has happened than is kept for a sandbox, however few events it was', async () => {
    const call = (method: string, message: unknown) => unary(inside.origin, `filesystem.Filesystem/${method}`, message);
    const made = [await call('CreateWatcher', { path: 'dir' }), await call('CreateWatcher', { path: 'dir' })];
    const [one, other] = inside.watches.slice(-2);
    const long = 'x'.repeat(4_000);
    for (let n = 0; n < 600; n++) one?.tell({ path: long, type: 'create' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let n = 0; n < 600; n++) other?.tell({ path: long, type: 'create' });
    await eventually(
      async () => other?.isOpen,
      (isOpen) => isOpen === false,
    );
    const asked = await Promise.all(made.map(({ body }) => call('GetWatcherEvents', body)));
    expect(asked).toMatchObject([{ status: 200, body: { events: { length: 600 } } }, { status: 404 }]);
    await call('RemoveWatcher', made[0]?.body);
  });

  test('has so many watchers at a time and no more, however many are asked for at once', async () => {
    const call = (method: string, message: unknown) => unary(inside.origin, `filesystem.Filesystem/${method}`, message);
    const create = () => call('CreateWatcher', { path: 'dir' });
    const asked = await Promise.all(Array.from({ length: 70 }, create));
    const made = asked.flatMap(({ status, body }) => (status === 200 ? [body] : []));
    expect(made).toHaveLength(64);
    expect(asked.find(({ status }) => status !== 200)).toMatchObject({
      status: 429,
      body: { code: 'resource_exhausted' },
    });
    await call('RemoveWatcher', made[0]);
    expect((await create()).status).toBe(200);
    expect((await create()).status).toBe(429);
    expect(await call('CreateWatcher', { path: 'nowhere' })).toMatchObject({ status: 429 });
    await call('RemoveWatcher', made[1]);
    expect(await call('CreateWatcher', { path: 'nowhere' })).toMatchObject({ status: 404 });
    expect((await create()).status).toBe(200);
  });

  test('reaches the stock client', async () => {
    const events: unknown[] = [];
    const handle = await sandbox.files.watchDir('dir', (event) => void events.push(event), { recursive: true });
    inside.watches[0]?.tell({ path: 'sub/f.txt', type: 'create' });
    await eventually(
      async () => events,
      (seen) => seen.length > 0,
    );
    expect(events).toEqual([{ name: 'sub/f.txt', type: 'create', entry: undefined }]);
    await handle.stop();
  });
});
