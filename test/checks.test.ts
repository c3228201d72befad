import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CHECKS, REPOSITORY, runCheck, type Check } from '../bin/checks.ts';

const SETTINGS = ['tsconfig.json', '.oxlintrc.json', '.oxfmtrc.json', 'knip.json'];
const CLEAN = `export const answer = (): number => 42;\n`;
const MAIN = `import { answer } from './clean.ts';\n\nconsole.log(answer());\n`;

/** A faulty file for each check, and what the check has to say about it. */
const FAULTS: Record<string, { fault: string; says: RegExp }[]> = {
  types: [{ fault: `export const n: number = 'text';\nconsole.log(n);\n`, says: /faulty\.ts.*TS2322/ }],
  lint: [
    { fault: `export const n: any = 1;\nconsole.log(n);\n`, says: /no-explicit-any/ },
    // Only a linter that knows the types sees this one.
    { fault: `const later = async (): Promise<number> => 1;\nlater();\n`, says: /no-floating-promises/ },
    { fault: `try {\n  console.log(1);\n} catch {}\n`, says: /no-empty/ },
    { fault: `// TODO: later\nconsole.log(1);\n`, says: /no-warning-comments/ },
  ],
  format: [{ fault: `export const   text = "double quotes"\nconsole.log(text)\n`, says: /faulty\.ts/ }],
  unused: [{ fault: `export const nobody = 'needs this';\n`, says: /nobody|faulty\.ts/ }],
};

/** A folder that looks like the repository to a tool. */
async function planted(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'freehold-planted-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await mkdir(path.join(folder, 'src'));
  await symlink(path.join(REPOSITORY, 'node_modules'), path.join(folder, 'node_modules'));
  for (const name of SETTINGS) await copyFile(path.join(REPOSITORY, name), path.join(folder, name));
  const everything = { 'package.json': '{ "name": "planted", "type": "module" }\n', 'src/clean.ts': CLEAN, ...files };
  for (const [name, text] of Object.entries(everything)) await writeFile(path.join(folder, name), text);
  return folder;
}

/** `main.ts` uses the faulty file too, except where not being used is the fault. */
const layout = ({ name }: Check, fault: string): Record<string, string> => ({
  'src/main.ts': name === 'unused' ? MAIN : `import './faulty.ts';\n${MAIN}`,
  'src/faulty.ts': fault,
});

describe.each(CHECKS)('the check of $name', (check) => {
  test('has nothing to say about good code', async () => {
    expect(await runCheck(check, await planted({ 'src/main.ts': MAIN }))).toMatchObject({ passed: true });
  });

  test.each(FAULTS[check.name] ?? [])('finds a planted fault: $says', async ({ fault, says }) => {
    const { passed, output } = await runCheck(check, await planted(layout(check, fault)));
    expect(passed).toBe(false);
    expect(output).toMatch(says);
  });
});

test('every check has a fault that it must find', () => {
  expect(Object.keys(FAULTS)).toEqual(CHECKS.map(({ name }) => name));
});
