import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openBlobs, type BlobStore } from '../../src/platform/blob/index.ts';
import { must } from '../../src/platform/run.ts';
import { fakeS3, type FakeS3 } from '../fakes/s3.ts';

const FOREVER = new AbortController().signal;
/** More than one part of an upload. */
const LARGE_BYTES = 70_000_000;

let folder: string;
let s3: FakeS3;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'freehold-blobs-'));
  s3 = await fakeS3();
});
afterEach(() => s3.stumble(0));
afterAll(async () => {
  await s3.close();
  await rm(folder, { recursive: true, force: true });
});

async function* chunksOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function* breakingOff(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1_000);
  throw new Error('it broke off');
}

const read = async (store: BlobStore, key: string): Promise<Buffer | undefined> => {
  const found = await store.get(key, FOREVER);
  return found && (await buffer(found));
};

const names = async (): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

const STORES = [
  { kind: 'a directory', open: () => openBlobs({ directory: folder }), left: async () => names() },
  {
    kind: 'a bucket',
    open: () => openBlobs({ directory: folder, s3: s3.bucket }),
    left: async () => [...s3.objects.keys(), ...s3.uploads.keys()],
  },
];

describe.each(STORES)('a store in $kind', ({ open, left }) => {
  test('gives back what was put, of any length, until it is removed', async () => {
    const store = open();
    const large = randomBytes(LARGE_BYTES);
    const halves = [large.subarray(0, 40_000_001), large.subarray(40_000_001)];
    await store.put('backups/large', chunksOf(...halves), FOREVER);
    await store.put('backups/empty', chunksOf(), FOREVER);
    const back = await read(store, 'backups/large');
    const sum = (data: Uint8Array | undefined) => data && createHash('sha256').update(data).digest('hex');
    expect(sum(back)).toBe(sum(large));
    expect(await read(store, 'backups/empty')).toEqual(Buffer.alloc(0));
    for (const key of ['backups/large', 'backups/empty', 'backups/large']) await store.remove(key);
    expect(await read(store, 'backups/large')).toBeUndefined();
    expect(await left()).toEqual([]);
  }, 60_000);

  test('keeps nothing of what breaks off, or is not wanted any more', async () => {
    const store = open();
    await expect(store.put('backups/a', breakingOff(), FOREVER)).rejects.toThrow('it broke off');
    await expect(store.put('backups/a', chunksOf(Buffer.alloc(9)), AbortSignal.abort())).rejects.toThrow();
    expect(await read(store, 'backups/a')).toBeUndefined();
    expect(await left()).toEqual([]);
  });

  test('refuses names that would lead elsewhere', async () => {
    const store = open();
    for (const key of ['../a', '/a', 'a//b', 'a/../b', 'A', ''])
      await expect(store.put(key, chunksOf(Buffer.alloc(1)), FOREVER)).rejects.toThrow(/safe/);
  });
});

test('what a killed process left of a content goes with its removal', async () => {
  const local = openBlobs({ directory: folder });
  await local.put('backups/cut', chunksOf(Buffer.from('whole')), FOREVER);
  await writeFile(join(folder, 'backups/cut.draft'), 'half');
  await local.remove('backups/cut');
  expect(await names()).toEqual([]);
  const bucket = openBlobs({ directory: folder, s3: s3.bucket });
  s3.uploads.set('left', { key: 'backups/cut', parts: new Map([[1, Buffer.from('half')]]) });
  s3.uploads.set('other', { key: 'backups/cut-2', parts: new Map() });
  await bucket.remove('backups/cut');
  expect([...s3.uploads.keys()]).toEqual(['other']);
  s3.uploads.clear();
});

test('a directory takes nothing of what the host keeps free, and keeps nothing of what did not fit', async () => {
  const small = join(folder, 'small');
  await mkdir(small);
  await must(['mount', '-t', 'tmpfs', '-o', 'size=640M', 'tmpfs', small]);
  try {
    let leastFree = Infinity;
    async function* tooMuch(): AsyncGenerator<Uint8Array> {
      for (let chunk = 0; chunk < 400; chunk++) {
        yield Buffer.alloc(1_048_576);
        const { bavail, bsize } = await statfs(small);
        leastFree = Math.min(leastFree, bavail * bsize);
      }
    }
    const store = openBlobs({ directory: small });
    await expect(store.put('backups/large', tooMuch(), FOREVER)).rejects.toMatchObject({ code: 'at_capacity' });
    expect(leastFree).toBeGreaterThan(440 * 1_048_576);
    await store.put('backups/little', chunksOf(Buffer.alloc(9)), FOREVER);
    expect((await readdir(join(small, 'backups'))).toSorted()).toEqual(['little']);
  } finally {
    await must(['umount', small]);
    await rm(small, { recursive: true });
  }
});

describe('a bucket', () => {
  test('is asked again when it stumbles', async () => {
    const store = openBlobs({ directory: folder, s3: s3.bucket });
    s3.stumble(2);
    await store.put('backups/patience', chunksOf(Buffer.from('here')), FOREVER);
    expect(String(await read(store, 'backups/patience'))).toBe('here');
    await store.remove('backups/patience');
  });

  test('takes nothing under a wrong secret, and the error names no secret', async () => {
    const wrong = { ...s3.bucket, secretKey: 'not-the-secret' };
    const failure = await openBlobs({ directory: folder, s3: wrong })
      .put('backups/a', chunksOf(Buffer.alloc(9)), FOREVER)
      .then(String, String);
    expect(failure).toMatch(/403.*SignatureDoesNotMatch/);
    expect(failure).not.toContain('not-the-secret');
    expect(s3.objects.size).toBe(0);
  });
});
