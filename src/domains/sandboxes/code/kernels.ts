import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The languages whose code runs in contexts, and the programs that do it: `interpreter/` says how. */

const PROGRAMS = join(import.meta.dirname, '../../../../interpreter');

const LANGUAGES = ['python', 'javascript', 'bash'] as const;
export type Language = (typeof LANGUAGES)[number];
export const DEFAULT_LANGUAGE: Language = 'python';
export const isLanguage = (name: string): name is Language => LANGUAGES.some((language) => language === name);

const OTHER_NAMES = new Map<string, Language>([
  ['py', 'python'],
  ['python3', 'python'],
  ['js', 'javascript'],
  ['node', 'javascript'],
  ['sh', 'bash'],
  ['shell', 'bash'],
]);

/** What a caller calls a language; undefined where we have none of that name. */
export function languageNamed(name: string): Language | undefined {
  const plain = name.toLowerCase();
  return isLanguage(plain) ? plain : OTHER_NAMES.get(plain);
}

/** Code runs as this user; what keeps it, as root. */
const USER = 'user';
export const HOME = '/home/user';
const MIB = 1_024 * 1_024;
/** Characters of the code of one execution. */
export const MAX_CODE = 1_000_000;
/** Executions that wait for their turn in one context. */
const MAX_WAITING = 32;
const SETTINGS = {
  user: USER,
  maxCode: MAX_CODE,
  maxWaiting: MAX_WAITING,
  /** Of one result. */
  maxLineBytes: 8 * MIB,
  /** Characters of output and results of one execution. */
  maxTold: 32 * MIB,
  patienceSeconds: 15,
};

let read: Promise<Record<'context' | Language, string>> | undefined;
const programs = (): NonNullable<typeof read> => (read ??= readPrograms());

async function readPrograms(): Promise<Record<'context' | Language, string>> {
  const [context, python, javascript, bash] = await Promise.all(
    ['context.py', 'python.py', 'javascript.cjs', 'bash.sh'].map((name) => readFile(join(PROGRAMS, name), 'utf8')),
  );
  return { context: String(context), python: String(python), javascript: String(javascript), bash: String(bash) };
}

/** The command of a context. It brings its programs along, so that a machine needs nothing but the languages. */
export async function contextCommand(language: Language): Promise<string[]> {
  const { context, ...kernels } = await programs();
  const source = kernels[language];
  const settings = language === 'bash' ? { ...SETTINGS, prelude: source } : SETTINGS;
  return ['/usr/bin/python3', '-I', '-S', '-c', context, JSON.stringify(settings), ...kernelCommand(language, source)];
}

function kernelCommand(language: Language, source: string): string[] {
  switch (language) {
    case 'python':
      return ['/usr/bin/python3', '-c', source];
    case 'javascript':
      // In a function: what a program of `-e` declares would be every cell's.
      return ['/usr/bin/node', '-e', `(() => {\n${source}\n})();`];
    case 'bash':
      return ['/bin/bash', '--noprofile', '--norc', '--noediting', '-i'];
  }
}

/** What the kernels find around them, whoever keeps them. */
export const KERNEL_ENV = { HOME, USER, LOGNAME: USER, TERM: 'dumb' };
