import { createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, assert } from '../../kernel/errors.ts';
import { flush } from '../flush.ts';
import { BLOB_KEY, type BlobStore } from './blob.ts';

const FILE_OWNER_ONLY = 0o600;
const OWNER_ONLY = 0o700;
/** Beside the file that it becomes when all of it is on the disk. No key ends like this. */
const DRAFT = '.draft';
/** Of a read at a time. */
const CHUNK_BYTES = 1_048_576;
/** Of the file system so much stays free, for the database above all, which may stand on it too. */
const RESERVE_SHARE = 0.05;
const LEAST_RESERVE_BYTES = 0.5 * 2 ** 30;
const MOST_RESERVE_BYTES = 8 * 2 ** 30;
/** What is written between two looks at it. */
const LOOK_EVERY_BYTES = 32 * CHUNK_BYTES;
const RETRY_AFTER_SECONDS = 30;

/** Blobs as files below a directory, each under its key. */
export function openLocalBlobs(root: string): BlobStore {
  const directory = resolve(root);
  const fileOf = (key: string): string => {
    assert(BLOB_KEY.test(key) && !key.endsWith(DRAFT), `a blob's key is safe in a path, not "${key}"`);
    return join(directory, key);
  };
  return {
    name: directory,
    put: async (key, content, signal) => put(fileOf(key), content, signal),
    get: async (key) => get(fileOf(key)),
    remove: async (key) => remove(fileOf(key)),
  };
}

async function put(file: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const folder = dirname(file);
  const draft = file + DRAFT;
  await mkdir(folder, { recursive: true, mode: OWNER_ONLY });
  try {
    await pipeline(
      Readable.from(whileThereIsRoom(folder, content), { objectMode: false }),
      createWriteStream(draft, { mode: FILE_OWNER_ONLY, flush: true }),
      { signal },
    );
    await rename(draft, file);
    await flush(folder);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function* whileThereIsRoom(folder: string, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let unseen = LOOK_EVERY_BYTES;
  for await (const chunk of content) {
    if (unseen >= LOOK_EVERY_BYTES) {
      await checkReserve(folder);
      unseen = 0;
    }
    yield chunk;
    unseen += chunk.length;
  }
}

async function checkReserve(folder: string): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder);
  const share = Math.max(LEAST_RESERVE_BYTES, blocks * bsize * RESERVE_SHARE);
  if (bavail * bsize < Math.min(MOST_RESERVE_BYTES, share))
    throw new AppError('at_capacity', 'Server at capacity — try again later', {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
}

async function get(file: string): Promise<Readable | undefined> {
  try {
    const handle = await open(file);
    return handle.createReadStream({ highWaterMark: CHUNK_BYTES });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return undefined;
  }
}

async function remove(file: string): Promise<void> {
  await Promise.all([file, file + DRAFT].map((each) => rm(each, { force: true })));
}
