import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { FileNotFoundError, NotEnoughSpaceError, Sandbox } from 'e2b';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signatureOf } from '../../src/apis/e2b/envd/access.ts';
import type { RawRequest } from '../../src/apis/contract.ts';
import { eachFile } from '../../src/apis/e2b/envd/multipart.ts';
import { AppError } from '../../src/kernel/errors.ts';
import { opened } from './frames.ts';
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
beforeEach(() => inside.files.clear());
afterAll(async () => {
  expect(inside.failures).toEqual([]);
  await inside.close();
});

const put = (path: string, content: string | Buffer, kind: 'file' | 'directory' = 'file') =>
  void inside.files.set(path, { content: Buffer.from(content), xattrs: {}, kind });
const kept = (path: string) => inside.files.get(path)?.content.toString();
const get = (query: string, headers: Record<string, string> = {}) =>
  fetch(`${inside.origin}/e2b/envd/files${query}`, { headers: { ...opened, ...headers } });
const post = (query: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(`${inside.origin}/e2b/envd/files${query}`, { method: 'POST', headers: { ...opened, ...headers }, body });
const octets = { 'content-type': 'application/octet-stream' };

describe('reading a file', () => {
  test('gives its bytes, from the user’s home where the path is relative', async () => {
    put('/home/user/a.txt', 'hello');
    put('/root/a.txt', 'of root');
    expect(await sandbox.files.read('a.txt')).toBe('hello');
    expect(await sandbox.files.read('~/a.txt')).toBe('hello');
    expect(await sandbox.files.read('a.txt', { user: 'root' })).toBe('of root');
    expect(await sandbox.files.read('/home/user/../user/a.txt', { format: 'bytes' })).toEqual(
      new Uint8Array(Buffer.from('hello')),
    );
  });

  test('that is empty is empty in every format', async () => {
    put('/home/user/empty', '');
    expect(await sandbox.files.read('empty')).toBe('');
    expect(await sandbox.files.read('empty', { format: 'bytes' })).toEqual(new Uint8Array());
    expect((await get('?path=empty')).headers.get('content-length')).toBe('0');
  });

  test('is compressed for who asks for it, and not for who refuses it', async () => {
    put('/home/user/a', 'x'.repeat(10_000));
    const packed = await get('?path=a', { 'accept-encoding': 'gzip' });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect((await packed.text()).length).toBe(10_000);
    const plain = await get('?path=a', { 'accept-encoding': 'identity, gzip;q=0' });
    expect([plain.headers.get('content-encoding'), plain.headers.get('content-length')]).toEqual([null, '10000']);
    expect(plain.headers.get('vary')).toBe('Accept-Encoding');
    const either = await get('?path=a', { 'accept-encoding': 'gzip, deflate, br' });
    expect(either.headers.get('content-encoding')).toBeNull();
    const nothingElse = await get('?path=a', { 'accept-encoding': 'br, gzip, identity;q=0' });
    expect(nothingElse.headers.get('content-encoding')).toBe('gzip');
    const neither = await get('?path=a', { 'accept-encoding': 'br, identity;q=0' });
    expect([neither.status, await neither.json()]).toMatchObject([406, { code: 406 }]);
    expect(await sandbox.files.read('a', { gzip: true })).toHaveLength(10_000);
  });

  test.each([
    ['bytes=0-4', 206, 'bytes 0-4/10', '01234'],
    ['bytes=5-', 206, 'bytes 5-9/10', '56789'],
    ['bytes=-3', 206, 'bytes 7-9/10', '789'],
    ['bytes=8-100', 206, 'bytes 8-9/10', '89'],
    ['bytes=10-', 416, 'bytes */10', undefined],
    ['bytes=0-1,4-5', 200, null, '0123456789'],
    ['bytes=4-2', 200, null, '0123456789'],
    ['pages=1-2', 200, null, '0123456789'],
  ])('%s answers %i', async (range, status, contentRange, text) => {
    put('/home/user/digits', '0123456789');
    const reply = await get('?path=digits', { range });
    expect([reply.status, reply.headers.get('content-range')]).toEqual([status, contentRange]);
    const body = await reply.text();
    if (text !== undefined) expect(body).toBe(text);
  });

  test('that is not there or is a directory is told in the words of the sheet', async () => {
    put('/home/user/dir', '', 'directory');
    const missing = await get('?path=nothing');
    expect([missing.status, await missing.json()]).toEqual([
      404,
      { code: 404, message: "path '/home/user/nothing' does not exist" },
    ]);
    const directory = await get('?path=dir');
    expect([directory.status, await directory.json()]).toEqual([
      400,
      { code: 400, message: "path '/home/user/dir' is a directory" },
    ]);
    await expect(sandbox.files.read('nothing')).rejects.toBeInstanceOf(FileNotFoundError);
    expect((await get('?path=~bob/x')).status).toBe(400);
    const nobody = await get('?path=x&username=nobody-here');
    expect([nobody.status, await nobody.json()]).toMatchObject([
      401,
      { code: 401, message: expect.stringContaining("error looking up user 'nobody-here'") },
    ]);
  });
});

describe('writing', () => {
  test('a file, several files and files in directories by a form', async () => {
    expect(await sandbox.files.write('a.txt', 'one')).toMatchObject({
      name: 'a.txt',
      path: '/home/user/a.txt',
      type: 'file',
    });
    const written = await sandbox.files.write([
      { path: 'deep/er/b.txt', data: 'two' },
      { path: '/tmp/c.txt', data: 'three' },
    ]);
    expect(written.map(({ path }) => path)).toEqual(['/home/user/deep/er/b.txt', '/tmp/c.txt']);
    expect(['/home/user/a.txt', '/home/user/deep/er/b.txt', '/tmp/c.txt'].map(kept)).toEqual(['one', 'two', 'three']);
  });

  test('as a stream, compressed and as octets', async () => {
    await sandbox.files.write('gz', 'x'.repeat(100_000), { gzip: true });
    await sandbox.files.write('octets', 'abc', { useOctetStream: true });
    await sandbox.files.write('stream', new Blob(['s'.repeat(1_000_000)]).stream());
    expect([kept('/home/user/gz')?.length, kept('/home/user/octets'), kept('/home/user/stream')?.length]).toEqual([
      100_000,
      'abc',
      1_000_000,
    ]);
  });

  test('a compressed form', async () => {
    const form = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhi\r\n--b--\r\n';
    const headers = { 'content-type': 'multipart/form-data; boundary=b', 'content-encoding': 'gzip' };
    expect((await post('', new Uint8Array(gzipSync(form)), headers)).status).toBe(200);
    expect(kept('/home/user/f')).toBe('hi');
  });

  test('keeps what is to be known of the file, in place of what was known before', async () => {
    await sandbox.files.write('m', 'x', { metadata: { Author: 'me', 'a-b': '2' } });
    expect(inside.files.get('/home/user/m')?.xattrs).toEqual({ 'user.e2b.author': 'me', 'user.e2b.a-b': '2' });
    expect((await sandbox.files.getInfo('m')).metadata).toEqual({ author: 'me', 'a-b': '2' });
    expect((await sandbox.files.list('/home/user'))[0]?.metadata).toEqual({ author: 'me', 'a-b': '2' });
    expect((await sandbox.files.rename('m', 'n')).metadata).toEqual({ author: 'me', 'a-b': '2' });
    const again = await sandbox.files.write('n', 'y');
    expect(again.metadata).toBeUndefined();
    expect((await sandbox.files.getInfo('n')).metadata).toBeUndefined();
  });

  test.each([
    ['octets without a path', '', octets, 'x'],
    ['a body of another type', '?path=a', { 'content-type': 'text/plain' }, 'x'],
    ['a form without a boundary', '?path=a', { 'content-type': 'multipart/form-data' }, 'x'],
    [
      'a form that breaks off',
      '',
      { 'content-type': 'multipart/form-data; boundary=b' },
      '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhi',
    ],
    [
      'a file without a name',
      '',
      { 'content-type': 'multipart/form-data; boundary=b' },
      '--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhi\r\n--b--\r\n',
    ],
    ['what is said to be compressed and is not', '?path=a', { ...octets, 'content-encoding': 'gzip' }, 'x'],
    ['metadata without a key', '?path=a', { ...octets, 'x-metadata-': 'x' }, 'x'],
    ['metadata with a long key', '?path=a', { ...octets, [`x-metadata-${'k'.repeat(247)}`]: 'x' }, 'x'],
    ['metadata that is too much', '?path=a', { ...octets, 'x-metadata-a': 'x'.repeat(4_097) }, 'x'],
  ])('%s is refused', async (_what, query, headers, body) => {
    const reply = await post(query, body, headers);
    expect([reply.status, await reply.json()]).toMatchObject([400, { code: 400, message: expect.any(String) }]);
  });

  test('two files to one path is refused', async () => {
    const part = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhi\r\n';
    const form = { 'content-type': 'multipart/form-data; boundary=b' };
    expect((await post('?path=one', `${part}${part}--b--\r\n`, form)).status).toBe(400);
    expect((await post('', `${part}${part}--b--\r\n`, form)).status).toBe(400);
  });

  test('under an encoding that nobody knows is refused', async () => {
    const reply = await post('?path=a', 'x', { ...octets, 'content-encoding': 'br' });
    expect([reply.status, await reply.json()]).toMatchObject([415, { code: 415 }]);
  });

  test('nothing is kept of an upload that breaks off', async () => {
    const { hostname, port } = new URL(inside.origin);
    const socket = connect(Number(port), hostname);
    const head = [
      'POST /e2b/envd/files?path=half HTTP/1.1',
      'Host: x',
      `E2b-Sandbox-Id: ${CODE}`,
      `X-Access-Token: ${TOKEN}`,
    ];
    socket.write([...head, 'Content-Type: application/octet-stream', 'Content-Length: 1000', '', 'half'].join('\r\n'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(kept('/home/user/half')).toBeUndefined();
  });

  test('nothing is kept of a form that breaks off, and nobody waits for its end', async () => {
    const body = new PassThrough();
    const headers = { 'content-type': 'multipart/form-data; boundary=X' };
    const request: RawRequest = { method: 'POST', params: {}, query: new URLSearchParams(), headers, body };
    const read = async (content: AsyncIterable<Uint8Array>) => {
      for await (const chunk of content) if (chunk.length > 0) body.destroy(new AppError('invalid', 'It broke off'));
    };
    const upload = eachFile(request, (_, content) => read(content));
    body.write('--X\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of it');
    await expect(upload).rejects.toMatchObject({ message: 'It broke off' });
  });

  test('several files become one, and are no more themselves', async () => {
    const compose = (body: unknown) => post('/compose', JSON.stringify(body), { 'content-type': 'application/json' });
    put('/home/user/1', 'one ');
    put('/home/user/2', 'two');
    put('/home/user/dir', '', 'directory');
    const reply = await compose({ source_paths: ['1', '2'], destination: 'all' });
    expect([reply.status, await reply.json()]).toEqual([200, { path: '/home/user/all', name: 'all', type: 'file' }]);
    expect([kept('/home/user/all'), kept('/home/user/1'), kept('/home/user/2')]).toEqual([
      'one two',
      undefined,
      undefined,
    ]);
    expect((await compose({ source_paths: ['all'], destination: 'all' })).status).toBe(400);
    expect((await compose({ source_paths: ['dir'], destination: 'x' })).status).toBe(400);
    expect((await compose({ source_paths: [], destination: 'x' })).status).toBe(400);
    const missing = await compose({ source_paths: ['nothing'], destination: 'x' });
    expect([missing.status, await missing.json()]).toMatchObject([404, { code: 404 }]);
  });

  test('a part without a name is a file where the request has a path', async () => {
    const form = new FormData();
    form.append('file', 'content');
    const reply = await fetch(await sandbox.uploadUrl('named'), { method: 'POST', body: form });
    expect([reply.status, await reply.json()]).toEqual([
      200,
      [{ name: 'named', path: '/home/user/named', type: 'file' }],
    ]);
    expect(kept('/home/user/named')).toBe('content');
  });

  test('to a full disk is told as such', async () => {
    const write = inside.files.set.bind(inside.files);
    inside.files.set = () => {
      throw new AppError('too_large', 'The disk is full.');
    };
    await expect(sandbox.files.write('a', 'x')).rejects.toBeInstanceOf(NotEnoughSpaceError);
    inside.files.set = write;
  });

  test('a connection is good for more after a refused upload', async () => {
    for (let n = 0; n < 3; n++) {
      const reply = await post('', 'x'.repeat(2_000_000), octets);
      expect([reply.status, await reply.json()]).toMatchObject([400, { code: 400 }]);
    }
  });
});

describe('a signature', () => {
  const signed = (path: string, operation: 'read' | 'write', extra: Record<string, string> = {}): string => {
    const query = new URLSearchParams({ path, ...extra });
    query.set('signature', signatureOf(query, operation, TOKEN));
    return `?${query.toString()}`;
  };
  const bare = (query: string, init: RequestInit = {}) => fetch(`${inside.origin}/files${query}`, init);

  test('is the one of the sheet', () => {
    const query = new URLSearchParams({ path: 'hello.txt', username: 'user' });
    expect(signatureOf(query, 'read', TOKEN)).toBe('v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E');
  });

  test('opens one file at the origin, for reading or for writing', async () => {
    put('/home/user/a.txt', 'hello');
    expect(await (await fetch(await sandbox.downloadUrl('a.txt'))).text()).toBe('hello');
    const form = new FormData();
    form.append('file', new Blob(['up']), 'ignored.txt');
    const reply = await fetch(await sandbox.uploadUrl('b.txt'), { method: 'POST', body: form });
    expect([reply.status, kept('/home/user/b.txt')]).toEqual([200, 'up']);
    expect((await bare(signed('a.txt', 'write'))).status).toBe(401);
    expect((await bare(signed('a.txt', 'read'), { method: 'POST', body: form })).status).toBe(401);
  });

  test('is checked before its time, which is told in the words of the sheet', async () => {
    put('/home/user/a.txt', 'hello');
    const soon = String(Math.floor(Date.now() / 1_000) + 60);
    const past = String(Math.floor(Date.now() / 1_000) - 60);
    expect((await bare(signed('a.txt', 'read', { signature_expiration: soon }))).status).toBe(200);
    const late = await bare(signed('a.txt', 'read', { signature_expiration: past }));
    expect([late.status, await late.json()]).toEqual([401, { code: 401, message: 'signature is already expired' }]);
    const forged = await bare(signed('a.txt', 'read', { signature_expiration: past }).replace(past, soon));
    expect([forged.status, await forged.json()]).toEqual([401, { code: 401, message: 'invalid signature' }]);
  });

  test('is needed where there is no token, and does not help a wrong one', async () => {
    const none = await bare('?path=a.txt');
    expect([none.status, await none.json()]).toEqual([
      401,
      { code: 401, message: 'missing signature query parameter' },
    ]);
    const wrong = await bare(signed('a.txt', 'read'), { headers: { ...opened, 'x-access-token': 'wrong' } });
    expect(wrong.status).toBe(401);
    expect((await bare(signed('a.txt', 'read'), { headers: { 'e2b-sandbox-id': CODE } })).status).toBe(404);
  });
});

test('what a compressed reply holds is the file', async () => {
  const content = createHash('sha512').update('x').digest();
  put('/home/user/bin', content);
  const reply = await fetch(`${inside.origin}/e2b/envd/files?path=bin`, {
    headers: { ...opened, 'accept-encoding': 'gzip' },
  });
  expect(Buffer.from(await reply.arrayBuffer())).toEqual(content);
  expect(gunzipSync(gzipSync(content))).toEqual(content);
});
