import { AppError } from '../../kernel/errors.ts';
import type { ArchiveEntry } from './archive.ts';
import type { Blobs, Sha256 } from './blobs.ts';

/** A file of a sample as it was brought. Links are kept as they are and followed by nobody but a machine. */
export type BroughtFile =
  | { kind: 'file'; path: string; executable: boolean; content: Buffer }
  /** Its content was sent before, since it is large. */
  | { kind: 'kept'; path: string; executable: boolean; sha256: Sha256 }
  | { kind: 'link'; path: string; target: string };

/** A file of a tree as it is kept: its content under its hash. */
export type TreeEntry =
  | { kind: 'file'; path: string; executable: boolean; sha256: Sha256; bytes: number }
  | { kind: 'link'; path: string; target: string };

/** Sorted by path, so that the same files make the same tree. */
export type Tree = readonly TreeEntry[];

export const MAX_TREE_FILES = 20_000;
const MAX_PATH_BYTES = 1_024;
const MAX_TARGET_BYTES = 1_024;
const MAX_DEPTH = 64;

/** Throws `invalid` where files are no tree: a path that leaves it, two of one name, something below a file or a link. */
export function checkFiles(files: readonly BroughtFile[]): void {
  if (files.length > MAX_TREE_FILES) throw new AppError('invalid', `It has more than ${MAX_TREE_FILES} files`);
  const taken = new Set<string>();
  for (const file of files) {
    checkPath(file.path);
    if (file.kind === 'link') checkTarget(file);
    if (taken.has(file.path)) throw new AppError('invalid', `It has ${file.path} twice`);
    taken.add(file.path);
  }
  for (const path of taken) {
    const above = ancestorsOf(path).find((folder) => taken.has(folder));
    if (above !== undefined) throw new AppError('invalid', `It has ${path} below ${above}, which is no folder`);
  }
}

function checkPath(path: string): void {
  const parts = path.split('/');
  const isPlain =
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    !/\p{Cc}/u.test(path) &&
    path.isWellFormed() &&
    Buffer.byteLength(path) <= MAX_PATH_BYTES &&
    parts.length <= MAX_DEPTH;
  if (!isPlain) throw new AppError('invalid', `It has a file of the name ${JSON.stringify(path).slice(0, 200)}`);
}

function checkTarget({ path, target }: { path: string; target: string }): void {
  if (target === '' || target.includes('\0') || !target.isWellFormed() || Buffer.byteLength(target) > MAX_TARGET_BYTES)
    throw new AppError('invalid', `The link ${path} leads nowhere`);
}

const ancestorsOf = (path: string): string[] =>
  path.split('/').flatMap((_part, index, parts) => (index === 0 ? [] : [parts.slice(0, index).join('/')]));

/** Keeps files; answers the hash of their tree. */
export async function keepTree(blobs: Blobs, files: readonly BroughtFile[]): Promise<Sha256> {
  checkFiles(files);
  const entries: TreeEntry[] = [];
  for (const file of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) entries.push(await entryOf(blobs, file));
  return blobs.put(JSON.stringify(entries));
}

async function entryOf(blobs: Blobs, file: BroughtFile): Promise<TreeEntry> {
  const { path } = file;
  if (file.kind === 'link') return { kind: 'link', path, target: file.target };
  const { executable } = file;
  if (file.kind === 'file')
    return { kind: 'file', path, executable, sha256: await blobs.put(file.content), bytes: file.content.length };
  const bytes = await blobs.bytesOf(file.sha256);
  if (bytes === undefined) throw new AppError('invalid', `The content of ${path} was not sent`);
  return { kind: 'file', path, executable, sha256: file.sha256, bytes };
}

/** A tree that this store has kept. */
export const readTree = async (blobs: Blobs, hash: Sha256): Promise<Tree> =>
  JSON.parse((await blobs.read(hash)).toString()) as Tree;

/** The names of all contents that some trees are made of, the trees themselves among them. */
export async function contentsOf(blobs: Blobs, trees: readonly Sha256[]): Promise<Set<Sha256>> {
  const found = new Set<Sha256>(trees);
  for (const tree of trees)
    for (const entry of await readTree(blobs, tree)) if (entry.kind === 'file') found.add(entry.sha256);
  return found;
}

/** A kept tree as entries of an archive, all of them below `folder`, or where they are. */
export const archiveOf = (blobs: Blobs, tree: Tree, folder = ''): ArchiveEntry[] =>
  tree.map((entry) => ({
    ...entry,
    path: folder === '' ? entry.path : `${folder}/${entry.path}`,
    ...(entry.kind === 'file' && { content: lazily(() => blobs.stream(entry.sha256)) }),
  })) as ArchiveEntry[];

/** Opened when it is read, not before: an archive has more files than a process may have open. */
async function* lazily(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* open();
}

/** The part of some files that is in a folder, with paths from there. */
export const filesBelow = (files: readonly BroughtFile[], folder: string): BroughtFile[] =>
  files
    .filter(({ path }) => path.startsWith(`${folder}/`))
    .map((file) => ({ ...file, path: file.path.slice(folder.length + 1) }));

/** The text of a file; undefined where there is none of that name. Throws `invalid` where it is no text. */
export function textOf(files: readonly BroughtFile[], path: string): string | undefined {
  const file = files.find((one) => one.path === path);
  if (file?.kind !== 'file') return undefined;
  const text = file.content.toString();
  if (!Buffer.from(text).equals(file.content) || text.includes('\0'))
    throw new AppError('invalid', `${path} is not UTF-8 text`);
  return text;
}
