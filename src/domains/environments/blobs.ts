import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { flush } from '../../platform/flush.ts';

/** SHA-256 of a content in lower-case hex: its name. */
export type Sha256 = string;

const HASH = /^[0-9a-f]{64}$/;
/** Files are spread over so many folders as two hex digits can name. */
const FOLDER_DIGITS = 2;
const DRAFTS = 'drafts';

/**
 * Contents under the name of their own hash. A content is whole when it has its name: it is written as a draft,
 * flushed, and given its name in one step, so that a crash leaves a draft and never half a content.
 */
export type Blobs = {
  put(content: Uint8Array | string): Promise<Sha256>;
  putStream(content: AsyncIterable<Uint8Array>): Promise<{ sha256: Sha256; bytes: number }>;
  has(sha256: Sha256): Promise<boolean>;
  /** How large a content is; undefined where it is not there. */
  bytesOf(sha256: Sha256): Promise<number | undefined>;
  read(sha256: Sha256): Promise<Buffer>;
  stream(sha256: Sha256): Readable;
  /** The contents that came before a time. */
  cameBefore(time: Date): Promise<Sha256[]>;
  /** Removes those of some contents that still are of before a time; answers how many. */
  remove(contents: readonly Sha256[], before: Date): Promise<number>;
  /** Removes what imports that died have left before a time; answers how many. */
  removeDrafts(before: Date): Promise<number>;
};

export function openBlobs(dir: string): Blobs {
  const pathOf = (sha256: Sha256): string => {
    if (!HASH.test(sha256)) throw new Error(`${sha256} is not the name of a content`);
    return join(dir, sha256.slice(0, FOLDER_DIGITS), sha256);
  };
  const has = async (sha256: Sha256): Promise<boolean> => stat(pathOf(sha256)).then(() => true, absent);

  const isOf = async (sha256: Sha256, before: Date): Promise<boolean> =>
    stat(pathOf(sha256)).then(({ mtime }) => mtime <= before, absent);

  async function putStream(content: AsyncIterable<Uint8Array>): Promise<{ sha256: Sha256; bytes: number }> {
    const draft = join(dir, DRAFTS, randomBytes(12).toString('hex'));
    await mkdir(join(dir, DRAFTS), { recursive: true });
    try {
      const { sha256, bytes } = await write(draft, content);
      await name(draft, sha256);
      return { sha256, bytes };
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Of two who bring the same content, the second puts it in the place of the first, as new as it is. */
  async function name(draft: string, sha256: Sha256): Promise<void> {
    const path = pathOf(sha256);
    const folder = join(path, '..');
    await mkdir(folder, { recursive: true });
    await rename(draft, path);
    await flush(folder);
  }

  return {
    put: async (content) => {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return (await has(sha256)) ? sha256 : (await putStream(once(bytes))).sha256;
    },
    putStream,
    has,
    bytesOf: (sha256) => stat(pathOf(sha256)).then(({ size }) => size, nowhere),
    read: (sha256) => readFile(pathOf(sha256)),
    stream: (sha256) => createReadStream(pathOf(sha256)),
    async cameBefore(time) {
      const found: Sha256[] = [];
      for (const sha256 of await namesIn(dir)) if (await isOf(sha256, time)) found.push(sha256);
      return found;
    },
    async remove(contents, before) {
      let removed = 0;
      for (const sha256 of contents) {
        if (!(await isOf(sha256, before))) continue;
        await rm(pathOf(sha256), { force: true });
        removed++;
      }
      return removed;
    },
    removeDrafts: (before) => removeDrafts(join(dir, DRAFTS), before),
  };
}

async function namesIn(dir: string): Promise<Sha256[]> {
  const folders = (await readdir(dir).catch(noFolder)).filter((one) => one.length === FOLDER_DIGITS);
  const names = await Promise.all(folders.map((folder) => readdir(join(dir, folder))));
  return names.flat().filter((name) => HASH.test(name));
}

async function removeDrafts(dir: string, before: Date): Promise<number> {
  const drafts = (await readdir(dir).catch(noFolder)).map((draft) => join(dir, draft));
  const isLeft = await Promise.all(drafts.map((draft) => stat(draft).then(({ mtime }) => mtime <= before, absent)));
  const left = drafts.filter((_draft, index) => isLeft[index]);
  await Promise.all(left.map((draft) => rm(draft, { force: true })));
  return left.length;
}

async function write(path: string, content: AsyncIterable<Uint8Array>): Promise<{ sha256: Sha256; bytes: number }> {
  const file = await open(path, 'wx', 0o600);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.length;
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), bytes };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function noFolder(error: NodeJS.ErrnoException): string[] {
  if (error.code !== 'ENOENT') throw error;
  return [];
}

function nowhere(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function absent(error: NodeJS.ErrnoException): false {
  if (error.code !== 'ENOENT') throw error;
  return false;
}
