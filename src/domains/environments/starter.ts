import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import type { Op } from '../../kernel/op.ts';
import { importSamples, openDataset, type ImportDeps, type ImportResult } from './import.ts';
import type { BroughtFile } from './tree.ts';

/** The dataset that comes with this program, as a folder of the repository. */
export const STARTER_DIR = join(import.meta.dirname, '../../../datasets/starter');

const About = z.object({ name: z.string(), description: z.string(), grading: z.enum(['strict', 'subset']) });
/** Every sample's hidden tests have these beside them. */
const SHARED_TESTS = 'harness';
const EXECUTABLE = 0o100;

/** Takes the shipped dataset in, each sample of it once; a newer form of one becomes its next version. */
export async function importStarter(deps: ImportDeps, op: Op, dir: string = STARTER_DIR): Promise<ImportResult[]> {
  const about = About.parse(parse(await readFile(join(dir, 'dataset.toml'), 'utf8')));
  await openDataset(deps.db, op, about.name, { description: about.description, grading: about.grading });
  const shared = (await filesOf(join(dir, SHARED_TESTS))).map((file) => ({ ...file, path: `tests/${file.path}` }));
  const folders = (await readdir(join(dir, 'samples'))).toSorted();
  const brought = await Promise.all(
    folders.map(async (name) => {
      const files = [...(await filesOf(join(dir, 'samples', name))), ...shared];
      return { format: 'harbor' as const, folder: { name, files } };
    }),
  );
  return importSamples(deps, op, about.name, brought, true);
}

async function filesOf(dir: string): Promise<BroughtFile[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink());
  return Promise.all(files.map((entry) => fileAt(dir, join(entry.parentPath, entry.name))));
}

async function fileAt(dir: string, path: string): Promise<BroughtFile> {
  const name = path.slice(dir.length + 1);
  const { mode, isLink } = await lstat(path).then((stats) => ({ mode: stats.mode, isLink: stats.isSymbolicLink() }));
  if (isLink) return { kind: 'link', path: name, target: await readlink(path) };
  return { kind: 'file', path: name, executable: (mode & EXECUTABLE) !== 0, content: await readFile(path) };
}
