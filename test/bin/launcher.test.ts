import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { REPOSITORY } from '../../bin/checks.ts';
import { worksIn } from '../../src/platform/postgres/processes.ts';
import { eventually } from '../postgres/holders.ts';

const HERE = import.meta.dirname;

describe('handing over to the runtime', () => {
  test('the child gets the arguments, and its exit code is ours', async () => {
    const { exit, hello } = await handOver('exit', 'two words');
    expect((await hello).args).toEqual(['exit', 'two words']);
    expect(await exit).toBe(3);
  });

  test('an interrupt that arrives several times at once reaches the child once, and the exit code comes back', async () => {
    const { exit, hello, launcher, lines } = await handOver();
    await hello;
    for (const name of ['SIGTERM', 'SIGTERM', 'SIGINT'] as const) launcher.kill(name);
    expect(await exit).toBe(7);
    expect(lines.filter((line) => line === 'told to end')).toHaveLength(1);
  });

  test('a child whose launcher was killed ends in the ordinary way', async () => {
    const { hello, launcher, lines } = await handOver();
    await hello;
    launcher.kill('SIGKILL');
    await eventually(async () => lines.includes('told to end') || undefined);
  });
});

async function handOver(...args: string[]) {
  const launcher = spawn(process.execPath, [path.join(HERE, 'hand-over.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void launcher.kill('SIGKILL'));
  const exit = once(launcher, 'exit').then(([code]) => code as number | null);
  const lines: string[] = [];
  const reader = createInterface({ input: launcher.stdout });
  reader.on('line', (line) => lines.push(line));
  const hello = once(reader, 'line').then(([line]) => JSON.parse(line as string) as { pid: number; args: string[] });
  return { launcher, exit, lines, hello };
}

describe('installing the dependencies', () => {
  test('they are installed where they are missing, and left alone where they are there', async () => {
    const repository = await smallRepository();
    expect(await ensure(repository)).toContain('installing dependencies');
    expect(await readFile(path.join(repository, 'node_modules/dependency/index.js'), 'utf8')).toBe(
      'module.exports = 1;\n',
    );
    expect(await ensure(repository)).toBe('');
  });

  test('an installation that was interrupted, or is of another lock file, is made anew', async () => {
    const repository = await smallRepository();
    await mkdir(path.join(repository, 'node_modules'));
    expect(await ensure(repository)).toContain('installing dependencies');
    const lock = path.join(repository, 'package-lock.json');
    const text = await readFile(lock, 'utf8');
    await writeFile(lock, text.replaceAll('1.0.0', '1.0.1'));
    await writeFile(path.join(repository, 'dependency/package.json'), manifest('dependency', '1.0.1'));
    expect(await ensure(repository)).toContain('installing dependencies');
  });

  test('two that start at once install once', async () => {
    const repository = await smallRepository();
    const said = await Promise.all([ensure(repository), ensure(repository), ensure(repository)]);
    expect(said.join('').match(/installing/g)).toHaveLength(1);
  });

  test('an installation ends with the launcher, however that ends', async () => {
    const repository = await smallRepository();
    const npm = path.join(repository, 'npm.js');
    await writeFile(npm, `require('fs').writeFileSync('npm.pid', String(process.pid)); setInterval(() => {}, 1000);`);
    const launcher = spawnEnsure(repository, { npm_execpath: npm });
    const pid = await eventually(
      async () => Number(await readFile(path.join(repository, 'npm.pid'), 'utf8')) || undefined,
    );
    launcher.kill('SIGKILL');
    await eventually(async () => !(await worksIn(pid, repository)) || undefined);
  });

  test('what npm could not install is told with what npm said', async () => {
    const repository = await smallRepository();
    await writeFile(path.join(repository, 'package-lock.json'), '{}');
    expect(await ensure(repository)).toMatch(/The dependencies could not be installed.*npm/s);
  });
});

const manifest = (name: string, version: string, dependencies: object = {}): string =>
  JSON.stringify({ name, version, dependencies });

/** A repository with one dependency, which lies beside it: nothing is fetched. */
async function smallRepository(): Promise<string> {
  const repository = await mkdtemp(path.join(tmpdir(), 'freehold-launcher-'));
  onTestFinished(() => rm(repository, { recursive: true, force: true }));
  await mkdir(path.join(repository, 'dependency'));
  await writeFile(path.join(repository, 'dependency/package.json'), manifest('dependency', '1.0.0'));
  await writeFile(path.join(repository, 'dependency/index.js'), 'module.exports = 1;\n');
  await writeFile(path.join(repository, 'package.json'), manifest('small', '1.0.0', { dependency: 'file:dependency' }));
  await writeFile(path.join(repository, 'package-lock.json'), JSON.stringify(LOCK));
  return repository;
}

const LOCK = {
  name: 'small',
  version: '1.0.0',
  lockfileVersion: 3,
  requires: true,
  packages: {
    '': { name: 'small', version: '1.0.0', dependencies: { dependency: 'file:dependency' } },
    dependency: { version: '1.0.0' },
    'node_modules/dependency': { resolved: 'dependency', link: true },
  },
};

/** Runs the launcher's first step in a process of its own; answers what it said. */
async function ensure(repository: string): Promise<string> {
  const child = spawnEnsure(repository);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(child, 'close');
  return said;
}

function spawnEnsure(repository: string, env: Record<string, string> = {}) {
  const module = new URL('bin/launcher/dependencies.js', `file://${REPOSITORY}/`).href;
  const script = `import(${JSON.stringify(module)})
    .then((it) => it.ensureDependencies(${JSON.stringify(repository)}))
    .catch((error) => console.error(error.message))`;
  const stdio = ['ignore', 'ignore', 'pipe'] as const;
  return spawn(process.execPath, ['-e', script], { env: { ...process.env, ...env }, stdio: [...stdio] });
}
