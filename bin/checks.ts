import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';

/** One tool that looks at all of the source: it ends with 0 where it has nothing to say. */
export type Check = { name: string; command: string[] };

export const REPOSITORY = path.join(import.meta.dirname, '..');
const PROGRAMS = path.join(REPOSITORY, 'node_modules', '.bin');

export const CHECKS: readonly Check[] = [
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
];

export type CheckResult = { passed: boolean; output: string };

/** Runs a check over a copy of the repository's layout; for the repository itself, `folder` is `REPOSITORY`. */
export async function runCheck({ command }: Check, folder = REPOSITORY): Promise<CheckResult> {
  const [tool = '', ...args] = command;
  const chunks: Buffer[] = [];
  const child = spawn(path.join(PROGRAMS, tool), args, {
    cwd: folder,
    env: toolEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await exitCode(child);
  return { passed: code === 0, output: Buffer.concat(chunks).toString() };
}

/** The tools start with `env node`: that has to be the runtime that came with them. */
export const toolEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: [PROGRAMS, path.dirname(process.execPath), process.env['PATH']].join(path.delimiter),
});

/** The exit code of a child that ends with us; null where a signal ended it. */
export function exitCode(child: ChildProcess): Promise<number | null> {
  const end = (name: NodeJS.Signals) => {
    child.kill(name);
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, end);
  return new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  }).finally(() => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.off(name, end);
  });
}
