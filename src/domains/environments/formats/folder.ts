import { posix } from 'node:path';
import { AppError } from '../../../kernel/errors.ts';
import { BASE_IMAGE, MAX_VERIFY_SECONDS, NAME, type Recipe } from '../sample.ts';
import { textOf, type BroughtFile } from '../tree.ts';

/** A task as a folder: its name, and what is in it. */
export type BroughtFolder = { name: string; files: readonly BroughtFile[] };

export const DOCKERFILE = 'Dockerfile';
const COMPOSE = ['docker-compose.yaml', 'docker-compose.yml', 'compose.yaml', 'compose.yml'];
/** Where Dockerfiles of these formats have their work when they do not say otherwise. */
const DEFAULT_WORKDIR = '/app';
const WORKDIR_LINE = /^\s*WORKDIR\s+(\S+)\s*$/gim;
const LEAST_VCPUS = 0.5;
const MOST_VCPUS = 4;
const LEAST_MEMORY_MB = 256;
const MOST_MEMORY_MB = 8_192;
const LEAST_DISK_GB = 1;
const MOST_DISK_GB = 20;
const MB_PER_GB = 1_024;

export function taskName(folder: BroughtFolder): string {
  if (!NAME.test(folder.name)) throw new AppError('invalid', 'The name of its folder is no name of a sample');
  return folder.name;
}

export function required(folder: BroughtFolder, path: string): string {
  const text = textOf(folder.files, path);
  if (text === undefined) throw new AppError('invalid', `It has no ${path}`);
  return text;
}

/** Why the surroundings of a task are nothing that one machine could be; undefined where they may be. */
export function imageProblem(context: readonly BroughtFile[], image: string | undefined): string | undefined {
  if (image === BASE_IMAGE) return undefined;
  if (image !== undefined) return `There is no image "${image}"`;
  // Its image is built before it is checked.
  if (context.some(({ path }) => path === DOCKERFILE)) return undefined;
  return context.some(({ path }) => COMPOSE.includes(path))
    ? 'It runs several containers beside each other'
    : 'It says nothing of its image';
}

/** Where commands begin: the last WORKDIR of a Dockerfile. The file is read as text; nothing of it is carried out. */
export function workdirOf(context: readonly BroughtFile[], wanted: string | undefined): string {
  const dockerfile = context.some(({ path }) => path === DOCKERFILE) ? (textOf(context, DOCKERFILE) ?? '') : '';
  const last = [...dockerfile.matchAll(WORKDIR_LINE)].at(-1)?.[1];
  const path = posix.normalize(wanted ?? last ?? DEFAULT_WORKDIR);
  return path.startsWith('/') && path !== '/' && /^[A-Za-z0-9/._-]+$/.test(path)
    ? path.replace(/\/$/, '')
    : DEFAULT_WORKDIR;
}

/** Limits within what a machine of ours can be given; what a task asks beyond that, it does not get. */
export const limitsWithin = (vcpus: number, memoryMb: number, storageMb: number): Recipe['limits'] => ({
  vcpus: within(vcpus, LEAST_VCPUS, MOST_VCPUS),
  memoryMb: Math.round(within(memoryMb, LEAST_MEMORY_MB, MOST_MEMORY_MB)),
  diskGb: within(storageMb / MB_PER_GB, LEAST_DISK_GB, MOST_DISK_GB),
});

export const secondsWithin = (seconds: number): number => Math.ceil(within(seconds, 1, MAX_VERIFY_SECONDS));

const within = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** The gold patch, where the solution is one. */
export function patchIn(solution: readonly BroughtFile[]): string {
  const patches = solution.filter(({ path }) => /\.(patch|diff)$/.test(path));
  const [only] = patches;
  return only && patches.length === 1 ? (textOf(solution, only.path) ?? '') : '';
}

/** Hidden tests as the patch that would add them, for clients that read `test_patch`. */
export const testPatchOf = (tests: readonly BroughtFile[], folder: string): string =>
  tests.map((file) => additionOf(file, folder)).join('');

function additionOf(file: BroughtFile, folder: string): string {
  if (file.kind !== 'file') return '';
  const text = file.content.toString();
  if (text === '' || !Buffer.from(text).equals(file.content)) return '';
  const path = `${folder}/${file.path}`;
  const lines = text.replace(/\n$/, '').split('\n');
  const end = text.endsWith('\n') ? '' : '\n\\ No newline at end of file';
  return [
    `diff --git a/${path} b/${path}`,
    `new file mode ${file.executable ? '100755' : '100644'}`,
    '--- /dev/null',
    `+++ b/${path}`,
    `@@ -0,0 +1,${lines.length} @@`,
    `${lines.map((line) => `+${line}`).join('\n')}${end}\n`,
  ].join('\n');
}

const EXTENSIONS: Record<string, string> = {
  py: 'python',
  js: 'javascript',
  mjs: 'javascript',
  cjs: 'javascript',
  ts: 'typescript',
  c: 'c',
  h: 'c',
  cc: 'cpp',
  cpp: 'cpp',
  go: 'go',
  rs: 'rust',
  java: 'java',
  cs: 'csharp',
  rb: 'ruby',
  sh: 'shell',
};

/** The language of most of its files. */
export function languageOf(files: readonly BroughtFile[]): string {
  const counts = new Map<string, number>();
  for (const { path } of files) {
    const language = EXTENSIONS[/\.(\w+)$/.exec(path)?.[1] ?? ''];
    if (language) counts.set(language, (counts.get(language) ?? 0) + 1);
  }
  return [...counts].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? 'shell';
}
