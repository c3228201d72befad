import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { flush } from '../../../platform/flush.ts';
import { must, type Command } from '../../../platform/run.ts';
import { exists } from '../images/debian.ts';

/** The C sources of what is the first process of every machine. */
const SOURCES = join(import.meta.dirname, '../../../../machine-init');
const LANGUAGE = ['-std=gnu11', '-D_GNU_SOURCE'];
const FLAGS = ['-static', '-O2', '-s'];
const HASH_LENGTH = 16;
const TRAVERSABLE = 0o711;
const FOR_ALL = 0o755;
const DRAFT = '.draft-';

export type InitOptions = { cacheDir: string; progress: (line: string) => void };

/** Where the layer that brings `/.freehold/init` into a machine is, or will be. */
export async function initLayerDir(cacheDir: string): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([LANGUAGE, FLAGS, process.arch]));
  for (const file of (await sourceFiles()).toSorted()) hash.update(basename(file)).update(await readFile(file));
  return join(cacheDir, 'init', hash.digest('hex').slice(0, HASH_LENGTH));
}

export const initProgram = (layerDir: string): string => join(layerDir, '.freehold', 'init');

/** Builds the layer unless it is there. Of several builders the first to be done wins; the others' work is the same. */
export async function ensureInit(options: InitOptions): Promise<string> {
  const layer = await initLayerDir(options.cacheDir);
  if (await exists(layer)) return layer;
  options.progress("machine init: compiling the machines' first process");
  const inits = join(options.cacheDir, 'init');
  await mkdir(inits, { recursive: true, mode: TRAVERSABLE });
  const draft = join(inits, DRAFT + randomBytes(6).toString('hex'));
  try {
    await mkdir(join(draft, '.freehold'), { recursive: true });
    await must(await compileCommand(initProgram(draft), FLAGS));
    for (const path of [draft, join(draft, '.freehold'), initProgram(draft)]) await chmod(path, FOR_ALL);
    // What stands under its final name is taken for whole for ever.
    await flush(initProgram(draft));
    await rename(draft, layer).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return layer;
}

/** Compiles the init. Only its tests want warnings to be errors: a compiler to come may find new ones. */
export const compileCommand = async (output: string, flags: readonly string[]): Promise<Command> => [
  'gcc',
  ...LANGUAGE,
  ...flags,
  '-o',
  output,
  ...(await sourceFiles()).filter((file) => file.endsWith('.c')),
];

const sourceFiles = async (): Promise<string[]> =>
  (await readdir(SOURCES)).filter((name) => /\.[ch]$/.test(name)).map((name) => join(SOURCES, name));
