import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readPost, SLUG_PATTERN, type Post } from './post.ts';

const MAX_POSTS = 1_000;
const MAX_POST_BYTES = 500_000;
const ENDING = '.md';
/** What stands there until the operator has written something. */
const SHIPPED = join(import.meta.dirname, 'posts');

export type ShelfOptions = {
  /** Where the operator's files are; it need not exist. */
  dir: string;
  /** Told once of each file that cannot be shown, and why. */
  onBadFile: (file: string, reason: string) => void;
};

export type Shelf = {
  /** Everything that is out by then, the newest first. */
  posts(now: Date): Promise<Post[]>;
};

type Kept = { version: string; post: Post | undefined };

/** The posts in the operator's folder, read again when a file changes. */
export function createShelf({ dir, onBadFile }: ShelfOptions): Shelf {
  const kept = new Map<string, Kept>();

  async function read(path: string, slug: string): Promise<Post | undefined> {
    const found = await stat(path).catch(unlessGone);
    if (!found) return undefined;
    const { mtimeMs, size } = found;
    const version = `${mtimeMs} ${size}`;
    const known = kept.get(path);
    if (known?.version === version) return known.post;
    const post = await readFileOf(path, slug, size).catch((error: unknown) => {
      onBadFile(path, error instanceof Error ? error.message : String(error));
      return undefined;
    });
    kept.set(path, { version, post });
    return post;
  }

  return {
    posts: async (now) => {
      const own = await filesIn(dir);
      const found = own.length > 0 ? own : await filesIn(SHIPPED);
      const paths = new Set(found.map(({ path }) => path));
      for (const path of kept.keys()) if (!paths.has(path)) kept.delete(path);
      const posts = await Promise.all(found.map(({ path, slug }) => read(path, slug)));
      return posts
        .filter((post): post is Post => post !== undefined && post.date <= now)
        .toSorted((a, b) => b.date.getTime() - a.date.getTime() || a.slug.localeCompare(b.slug));
    },
  };
}

async function readFileOf(path: string, slug: string, size: number): Promise<Post> {
  if (!SLUG_PATTERN.test(slug)) throw new Error('its name may have letters, digits, hyphens and underscores');
  if (size > MAX_POST_BYTES) throw new Error(`it is larger than ${MAX_POST_BYTES} bytes`);
  return readPost(slug, await readFile(path, 'utf8'));
}

async function filesIn(dir: string): Promise<{ path: string; slug: string }[]> {
  const names = (await readdir(dir).catch(unlessGone)) ?? [];
  return names
    .filter((name) => name.endsWith(ENDING))
    .toSorted()
    .slice(0, MAX_POSTS)
    .map((name) => ({ path: join(dir, name), slug: name.slice(0, -ENDING.length) }));
}

/** There is no folder, or a file has gone since the folder was read. */
function unlessGone(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
