import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, assert } from '../../../kernel/errors.ts';
import { MINUTE } from '../../../kernel/time.ts';
import { CommandFailed, must } from '../../../platform/run.ts';
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
const ATTEMPT = /^[a-z0-9][a-z0-9_]{0,63}$/;

/** One attempt at an image. One that is given up for dead may go on beside the next: they have nothing in common. */
export type Draft = { id: string; machineId: string };

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
  /** A place for an attempt's packed tree, which is empty now. Whatever earlier attempts have there is gone. */
  draft(draft: Draft): Promise<{ archive: string }>;
  /** Makes a finished tree of a draft's archive. */
  unpack(draft: Draft): Promise<Tree>;
  /** Puts a finished tree in its place. */
  place(draft: Draft): Promise<void>;
  dropDraft(draft: Draft): Promise<void>;
  /** The files of an image as a tar, for a machine that builds on it; it lies in a draft meanwhile. */
  packed<Result>(key: string, draft: Draft, use: (archive: Readable) => Promise<Result>): Promise<Result>;
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
    async draft(draft) {
      // Where an earlier one is still written to, its writer removes it.
      await remove(at(drafts, draft.id)).catch(unfinished);
      await mkdir(join(draftDir(shelf, draft), 'image', 'rootfs'), { recursive: true, mode: OWNER_ONLY });
      return { archive: archiveOf(shelf, draft) };
    },
    unpack: (draft) =>
      unpackTree({
        archive: archiveOf(shelf, draft),
        to: join(draftDir(shelf, draft), 'image', 'rootfs'),
        baseDir: shelf.baseDir,
        ids,
      }),
    place: (draft) => place(shelf, draft),
    dropDraft: (draft) => dropDraft(shelf, draft),
    packed: (key, draft, use) => packed(shelf, key, draft, use),
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

function draftDir({ drafts }: Areas, { id, machineId }: Draft): string {
  assert(ATTEMPT.test(machineId), `an attempt's name must be safe in a path, not "${machineId}"`);
  return join(at(drafts, id), machineId);
}

const archiveOf = (areas: Areas, draft: Draft): string => join(draftDir(areas, draft), 'tree.tar');

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

/** What a killed attempt has put there already goes out of the way first, which takes no time. */
async function place(shelf: Places, draft: Draft): Promise<void> {
  const dir = draftDir(shelf, draft);
  const target = at(shelf.done, draft.id);
  await rename(target, join(dir, 'earlier')).catch(absent);
  await rename(join(dir, 'image'), target);
  await dropDraft(shelf, draft);
}

async function dropDraft(shelf: Places, draft: Draft): Promise<void> {
  await remove(draftDir(shelf, draft));
  await rmdir(at(shelf.drafts, draft.id)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
  });
}

async function packed<Result>(
  shelf: Places,
  key: string,
  draft: Draft,
  use: (archive: Readable) => Promise<Result>,
): Promise<Result> {
  const dir = await imageDirOf(shelf, key);
  if (dir === undefined) throw new AppError('not_found', `There is no image ${key}.`);
  const archive = join(draftDir(shelf, draft), 'packed.tar');
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

function unfinished(error: unknown): void {
  if (!(error instanceof CommandFailed)) throw error;
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
