import { createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { assert } from '../../kernel/errors.ts';
import { BLOB_KEY, type BlobStore } from './blob.ts';

const FILE_OWNER_ONLY = 0o600;
const OWNER_ONLY = 0o700;
/** Beside the file that it becomes when all of it is on the disk. No key ends like this. */
const DRAFT = '.draft';
/** Of a read at a time. */
const CHUNK_BYTES = 1_048_576;

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
      Readable.from(content, { objectMode: false }),
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

/** A new name is on the disk when its folder is. */
async function flush(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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
