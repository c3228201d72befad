import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { sandboxClient } from './client.ts';
import { readEvents, type Told } from './events.ts';

/** Files of sandboxes as a client of the agents contract sees them, on real machines. */
const client = sandboxClient();
const { call, at, sh, raw } = client;
const MIB = 1_048_576;
const LARGEST_MIB = 400;
const sha256 = (bytes: Uint8Array | ArrayBuffer) => createHash('sha256').update(new Uint8Array(bytes)).digest('hex');

describe('files', () => {
  test.each([
    ['/files', '/files'],
    ['/files/upload/json', '/files/read'],
  ])('are written at %s and read at %s', async (write, read) => {
    const path = `notes${write.length}/a b.txt`;
    expect(await call('POST', at(write), { path, content: 'hällo\n' })).toMatchObject({ status: 201 });
    const reply = await call('GET', at(`${read}?path=${encodeURIComponent(path)}`));
    expect(reply.body).toMatchObject({ content: 'hällo\n', encoding: 'utf8', size: 7 });
    expect((await sh(`cat "${path}"`)).stdout).toBe('hällo\n');
  });

  test('that are no text come and go as base64', async () => {
    const content = Buffer.from([0, 255, 128, 10]).toString('base64');
    await call('POST', at('/files'), { path: 'bin', content, encoding: 'base64', mode: '755' });
    expect((await call('GET', at('/files?path=bin'))).body).toMatchObject({ content, encoding: 'base64' });
    expect((await sh('stat -c %a bin')).stdout).toBe('755\n');
    const wrong = { path: 'bin', content: '%%%', encoding: 'base64' };
    expect(await call('POST', at('/files'), wrong)).toMatchObject({ status: 400 });
    expect((await call('GET', at('/files?path=bin'))).body).toMatchObject({ content });
  });

  test('of more than ten megabytes are not JSON', async () => {
    const reply = await call('POST', at('/files'), { path: 'big', content: 'x'.repeat(10_000_001) });
    expect(reply).toMatchObject({ status: 413, body: { error: 'content exceeds maximum size (10000000 bytes)' } });
    await sh('truncate -s 10000001 big');
    expect(await call('GET', at('/files?path=big'))).toMatchObject({ status: 413 });
  });

  test('are listed, looked at, moved, removed, and have directories', async () => {
    await sh('mkdir -p tree/sub && echo 1 > tree/one && ln -s one tree/link');
    const names = async (query: string) =>
      (await call('GET', at(`/files/list?${query}`))).body.files.map((file: { path: string }) => file.path);
    expect(await names('path=tree')).toEqual(['/home/user/tree/link', '/home/user/tree/one', '/home/user/tree/sub']);
    expect(await call('POST', at('/files/mkdir'), { path: 'tree/sub/deep' })).toMatchObject({ status: 201 });
    expect(await names('path=tree&depth=2')).toContain('/home/user/tree/sub/deep');
    expect((await call('GET', at('/files/stat?path=tree/link'))).body).toMatchObject({
      type: 'symlink',
      target: '/home/user/tree/one',
    });
    const moved = await call('POST', at('/files/move'), { source: 'tree/one', destination: 'tree/sub/two' });
    expect(moved.body).toMatchObject({ path: '/home/user/tree/sub/two', type: 'file', size: 2 });
    expect(await call('DELETE', at('/files?path=tree'))).toMatchObject({ status: 200 });
    expect(await call('GET', at('/files/stat?path=tree'))).toMatchObject({
      status: 404,
      body: { error: 'No such file or directory' },
    });
  });

  test('of any size are streamed in and out, also a part of them', async () => {
    const bytes = randomBytes(30_000_000);
    const chunks = Readable.toWeb(
      Readable.from(bytes.toString('latin1').match(/[^]{1,65536}/g) ?? []).map((text: string) =>
        Buffer.from(text, 'latin1'),
      ),
    );
    const up = await raw('PUT', at('/files/content?path=large'), chunks as ReadableStream);
    expect([up.status, await up.json()]).toMatchObject([201, { size: 30_000_000, path: '/home/user/large' }]);
    const down = await raw('GET', at('/files/content?path=large'));
    expect([down.headers.get('content-type'), down.headers.get('x-file-size')]).toEqual([
      'application/octet-stream',
      '30000000',
    ]);
    expect(sha256(await down.arrayBuffer())).toBe(sha256(bytes));
    const part = await raw('GET', at('/files/content?path=large&offset=1000&length=10'));
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(1_000, 1_010));
    expect((await raw('GET', at('/files/content?path=nowhere'))).status).toBe(404);
    expect((await raw('PUT', at('/files/content?path=/proc/x'), Buffer.from('x'))).status).toBeGreaterThanOrEqual(400);
  });

  test('pass through the server in pieces: of the largest ones it holds next to nothing', async () => {
    let most = 0;
    const looking = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 5);
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const block = randomBytes(MIB);
    const content = Readable.from(
      (function* () {
        for (let index = 0; index < LARGEST_MIB; index++) yield block;
      })(),
    );
    const up = await raw('PUT', at('/files/content?path=largest'), Readable.toWeb(content) as ReadableStream);
    expect([up.status, await up.json()]).toMatchObject([201, { size: LARGEST_MIB * MIB }]);
    let received = 0;
    const down = await raw('GET', at('/files/content?path=largest'));
    for await (const chunk of down.body as unknown as AsyncIterable<Uint8Array>) received += chunk.length;
    clearInterval(looking);
    expect(received).toBe(LARGEST_MIB * MIB);
    expect(most - before).toBeLessThan((LARGEST_MIB * MIB) / 4);
    await sh('rm largest');
  });

  test('of a directory come and go as a tar archive', async () => {
    await sh('mkdir -p packed/in && echo inner > packed/in/file');
    const archive = await raw('GET', at('/files/archive?path=packed'));
    expect(archive.headers.get('content-type')).toBe('application/x-tar');
    const up = await raw('PUT', at('/files/archive?path=unpacked'), Buffer.from(await archive.arrayBuffer()));
    expect(up.status).toBe(201);
    expect((await sh('cat unpacked/in/file')).stdout).toBe('inner\n');
    expect((await raw('PUT', at('/files/archive?path=x'), Buffer.from('no archive'))).status).toBe(400);
  });

  test('are watched', async () => {
    await sh('mkdir -p watched');
    const told: Told[] = [];
    const watching = readEvents(client.server.url + at('/files/watch?path=watched'), client.agent.key, (event) => {
      told.push(event);
      if (event.event === 'start') void sh('echo 1 > watched/new; rm watched/new');
      return event.event !== 'remove';
    });
    await watching;
    expect(told[0]?.event).toBe('start');
    expect(told).toContainEqual({ event: 'create', data: { path: 'new' } });
    expect(told.at(-1)).toEqual({ event: 'remove', data: { path: 'new' } });
  });
});
