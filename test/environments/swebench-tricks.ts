import { dirname } from 'node:path';
import { expect } from 'vitest';
import type { Line, Work } from './swebench-world.ts';

export const apply = ({ patch }: Line): string => `git apply <<'PATCH'\n${patch}PATCH\n`;
export const file = (path: string, text: string): string =>
  `mkdir -p "$(dirname ${path})"; cat > ${path} <<'TRICK'\n${text}\nTRICK\n`;

/** Each is done to a repository that is as wrong as before. */
export async function nothingIsSolvedBy(work: Work, tricks: Record<string, string>): Promise<void> {
  const solved: string[] = [];
  for (const [name, script] of Object.entries(tricks))
    if ((await work.gradedAfter(script)).is_success) solved.push(name);
  expect(solved).toEqual([]);
}

/** Compiled, and marked as not to be compared with the source that it stands for. */
export const bytecode = (cache: string, text: string): string =>
  `${file('/tmp/t.py', text)}mkdir -p ${dirname(cache)}; python3 -c 'import py_compile as p; p.compile("/tmp/t.py", cfile="${cache}", invalidation_mode=p.PycInvalidationMode.UNCHECKED_HASH)'\n`;

/** Modules of some names, here and beside the tests, each of which ends whoever imports it. */
export const endings = (...names: string[]): string =>
  `for m in ${names.join(' ')}; do printf 'import os; os._exit(0)\\n' > $m.py; mkdir -p tests; cp $m.py tests/; done`;
