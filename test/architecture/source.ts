import { readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';

/** One source file: its path from the repository's root, and its text. */
export type Source = { path: string; text: string };
export type Import = { from: string; to: string };

const ROOT = join(import.meta.dirname, '../..');

export const readSources = (folder: string): Source[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => posix.join(folder, file))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));

export const isTest = (path: string): boolean => path.endsWith('.test.ts');

const STATEMENT = /^\s*(?:import|export)\b[^'";]*?\bfrom\s+['"]([^'"]+)['"]/gm;
const BARE = /^\s*import\s+['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]/g;

/** What a file imports: paths from the root for our own files, names for packages. */
export function importsOf({ path, text }: Source): Import[] {
  const code = withoutComments(text);
  const named = [STATEMENT, BARE, DYNAMIC].flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => match[1] ?? ''),
  );
  return named.map((name) => ({
    from: path,
    to: name.startsWith('.') ? posix.join(posix.dirname(path), name) : name,
  }));
}

/** Comments become blanks, so that lines keep their numbers. Strings are left alone: `//` in a URL is none. */
export const withoutComments = (text: string): string =>
  text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:'"`\\])\/\/.*$/gm, (comment) => comment.replaceAll(/[^\n]/g, ' '));

export type LongThing = { path: string; line: number; lines: number };

const FUNCTION_HEAD = /(?:=>|\)|\): .+) \{$/;
const NO_FUNCTION = /^\s*(?:\} )?(?:if|else|for|while|switch|try|catch|finally|do|class|export type|type)\b/;

/**
 * Every function of a file with its length. The formatter puts a function's closing brace under the line that opens
 * it, which is all that is needed to find its end.
 */
export function functionsOf({ path, text }: Source): LongThing[] {
  const lines = withoutComments(text).split('\n');
  const isHead = (line: string): boolean => FUNCTION_HEAD.test(line) && !NO_FUNCTION.test(line);
  return lines.flatMap((line, index) => {
    if (!isHead(line)) return [];
    const indent = /^\s*/.exec(line)?.[0] ?? '';
    const length = lines.slice(index + 1).findIndex((later) => later.startsWith(`${indent}}`));
    return length < 0 ? [] : [{ path, line: index + 1, lines: length + 2 }];
  });
}
