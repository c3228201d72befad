import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, assert } from '../../../kernel/errors.ts';
import { MINUTE } from '../../../kernel/time.ts';
import { must } from '../../../platform/run.ts';
import type { IdRange } from '../drivers/oci/bundle.ts';
import { idRange } from '../host.ts';
import { baseImageDir, importedImagesDir } from './base.ts';
import { ensureBuilderImage } from './builder.ts';
import { exists } from './debian.ts';
import { BASE } from './image.ts';
import { packTree, unpackTree, type Tree } from './tree.ts';

const OWNER_ONLY = 0o700;
const FILE_OWNER_ONLY = 0o600;
const REMOVAL_TIMEOUT_MS = 20 * MINUTE;
const KEY = /^img_[0-9a-f]{32}$/;

export type ShelfOptions = { cacheDir: string; dataDir: string };

/**
 * Where the images' files are on this host: what was sent, waiting to be made into an image; drafts; finished trees,
 * owned by the machines' ids.
 */
export type Shelf = {
  /** Directory of an image's files. Undefined where there is no such image. */
  imageDir(key: string): Promise<string | undefined>;
  /** Builds what image-building machines are made of, unless it is there. */
  prepareBuilder(): Promise<{ built: boolean }>;
  /** Keeps what was sent for an image. Throws `too_large`, and then keeps nothing. */
  keepSource(key: string, content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<number>;
  source(key: string): Readable;
  dropSource(key: string): Promise<void>;
  /** A place for an attempt's packed tree, which is empty now. */
  draft(key: string): Promise<{ archive: string }>;
  /** Makes a finished tree of a draft's archive; it stands in its place when this answers. */
  place(key: string): Promise<Tree>;
  dropDraft(key: string): Promise<void>;
  /** The files of an image as a tar, for a machine that builds on it. */
  packed<Result>(key: string, use: (archive: Readable) => Promise<Result>): Promise<Result>;
  /** Removes all that is there of an image. */
  erase(key: string): Promise<void>;
  /** Every image of which anything is here, with the time of its newest part. */
  keys(): Promise<{ key: string; changedAt: Date }[]>;
};

export async function openShelf({ cacheDir, dataDir }: ShelfOptions): Promise<Shelf> {
  const ids = await idRange();
  const shelf: Places = { ...areasOf(dataDir), cacheDir, ids, baseDir: baseImageDir(cacheDir, ids) };
  const { sources, drafts } = shelf;
  return {
    imageDir: (key) => imageDirOf(shelf, key),
    prepareBuilder: () => ensureBuilderImage({ cacheDir, ids, progress: () => {} }),
    async keepSource(key, content, maxBytes) {
      const file = at(sources, key);
      await made(sources);
      try {
        return await writeBounded(file, content, maxBytes);
      } catch (error) {
        await rm(file, { force: true });
        throw error;
      }
    },
    source: (key) => createReadStream(at(sources, key)),
    dropSource: (key) => rm(at(sources, key), { force: true }),
    async draft(key) {
      const dir = at(drafts, key);
      await remove(dir);
      await mkdir(join(dir, 'image', 'rootfs'), { recursive: true, mode: OWNER_ONLY });
      return { archive: join(dir, 'tree.tar') };
    },
    place: (key) => place(shelf, key),
    dropDraft: (key) => remove(at(drafts, key)),
    packed: (key, use) => packed(shelf, key, use),
    erase: async (key) => {
      for (const area of [shelf.done, sources, drafts]) await remove(at(area, key));
    },
    keys: () => keys([shelf.done, sources, drafts]),
  };
}

type Areas = { done: string; sources: string; drafts: string };
type Places = Areas & { cacheDir: string; ids: IdRange; baseDir: string };

function areasOf(dataDir: string): Areas {
  const done = importedImagesDir(dataDir);
  return { done, sources: join(done, 'sources'), drafts: join(done, 'drafts') };
}

function at(area: string, key: string): string {
  assert(KEY.test(key), `an image's key must be safe in a path, not "${key}"`);
  return join(area, key);
}

const made = (area: string) => mkdir(area, { recursive: true, mode: OWNER_ONLY });

/** A tenant's tree may be deeper than any name that the kernel takes: `rm` goes down into it step by step. */
const remove = async (path: string): Promise<void> =>
  void (await must(['rm', '-rf', '--one-file-system', '--', path], { timeoutMs: REMOVAL_TIMEOUT_MS }));

async function imageDirOf({ done, baseDir }: Places, key: string): Promise<string | undefined> {
  if (key === BASE) return baseDir;
  if (!KEY.test(key)) return undefined;
  const dir = join(done, key, 'rootfs');
  return (await exists(dir)) ? dir : undefined;
}

async function place({ done, drafts, baseDir, ids }: Places, key: string): Promise<Tree> {
  const draft = at(drafts, key);
  const to = join(draft, 'image', 'rootfs');
  const tree = await unpackTree({ archive: join(draft, 'tree.tar'), to, baseDir, ids });
  await remove(at(done, key));
  await rename(join(draft, 'image'), at(done, key));
  await remove(draft);
  return tree;
}

async function packed<Result>(
  shelf: Places,
  key: string,
  use: (archive: Readable) => Promise<Result>,
): Promise<Result> {
  const dir = await imageDirOf(shelf, key);
  if (dir === undefined) throw new AppError('not_found', `There is no image ${key}.`);
  // One image is made at a time, so what a killed process left here is overwritten by the next.
  const archive = join(shelf.drafts, 'packed.tar');
  await made(shelf.drafts);
  try {
    await packTree({ from: dir, archive, baseDir: shelf.baseDir, ids: shelf.ids });
    return await use(createReadStream(archive));
  } finally {
    await rm(archive, { force: true });
  }
}

async function keys(areas: string[]): Promise<{ key: string; changedAt: Date }[]> {
  const found = await Promise.all(areas.map(keysIn));
  const newest = new Map<string, Date>();
  for (const { key, changedAt } of found.flat())
    if ((newest.get(key) ?? changedAt) <= changedAt) newest.set(key, changedAt);
  return [...newest].map(([key, changedAt]) => ({ key, changedAt }));
}

async function keysIn(area: string): Promise<{ key: string; changedAt: Date }[]> {
  const names = (await readdir(area).catch(absent)) ?? [];
  const found = names
    .filter((name) => KEY.test(name))
    .map(async (key) => ({ key, found: await stat(join(area, key)).catch(absent) }));
  return (await Promise.all(found)).flatMap(({ key, found: stats }) =>
    stats ? [{ key, changedAt: stats.mtime }] : [],
  );
}

/** Writes a stream into a file and answers its length. Throws `too_large` where it goes on after that many bytes. */
export async function writeBounded(
  file: string,
  content: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<number> {
  let bytes = 0;
  async function* counted(): AsyncIterable<Uint8Array> {
    for await (const chunk of content) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new AppError('too_large', `More than ${maxBytes} bytes are not taken.`);
      yield chunk;
    }
  }
  await pipeline(Readable.from(counted(), { objectMode: false }), createWriteStream(file, { mode: FILE_OWNER_ONLY }));
  return bytes;
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
