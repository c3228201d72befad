import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Failure } from '../failure.ts';

/** What of a SWE-bench line says where its repository is and what its tests become. */
export type Instance = { instance_id: string; repo: string; base_commit: string; patch: string; test_patch: string };

/** Repositories of samples, at their commits, as folders that an import takes. */
export type Repositories = {
  /** The folder for a sample; throws Failure where the repository, the commit or a place for the tests cannot be had. */
  folderFor(instance: Instance): Promise<string>;
  close(): Promise<void>;
};

const COMMIT = /^[0-9a-f]{7,64}$/;
const REPO = /^[\w.-]+\/[\w.-]+$/;
const IS_URL = /^[a-z+]+:\/\//i;
const REASON_CHARACTERS = 300;

/**
 * `from` is a folder of git repositories (`owner/name`, `owner__name` or `name`, bare with `.git` or not), or a URL with
 * `{repo}` in it. `setup` is a script for all samples, or a folder with `INSTANCE.sh` or `owner__name.sh`.
 */
export async function openRepositories(from: string, setup: string | undefined): Promise<Repositories> {
  const dir = await mkdtemp(join(tmpdir(), 'freehold-repositories-'));
  const clones = new Map<string, Promise<string>>();
  const gitDirOf = (repo: string): Promise<string> => {
    const known = clones.get(repo) ?? (IS_URL.test(from) ? cloneInto(dir, from, repo) : foundIn(from, repo));
    clones.set(repo, known);
    return known;
  };
  return {
    async folderFor(instance) {
      const { repo, base_commit: commit, instance_id: id } = instance;
      if (!REPO.test(repo) || !COMMIT.test(commit)) throw new Failure('It names no repository and commit');
      const folder = join(dir, 'sample');
      await rm(folder, { recursive: true, force: true });
      await checkOut(await gitDirOf(repo), commit, join(folder, 'repo'), dir);
      await keepPatched(folder, { patch: instance.test_patch, files: 'tests', removed: 'removed' });
      // One that does not apply is told by the check of the sample.
      await keepPatched(folder, { patch: instance.patch, files: 'gold', removed: 'gold-removed' }).catch(onlyFailure);
      const script = setup && (await setupFor(setup, id, repo));
      if (script) await cp(script, join(folder, 'setup.sh'));
      return folder;
    },
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

async function foundIn(folder: string, repo: string): Promise<string> {
  const flat = repo.replace('/', '__');
  const name = repo.split('/').at(-1) ?? repo;
  const places = [repo, flat, name].flatMap((path) => [`${path}.git`, join(path, '.git'), path]);
  for (const place of places) if (await exists(join(folder, place, 'HEAD'))) return join(folder, place);
  throw new Failure(`There is no repository ${repo} in ${folder}`);
}

async function cloneInto(dir: string, template: string, repo: string): Promise<string> {
  const target = join(dir, `${repo.replace('/', '__')}.git`);
  await git(['clone', '--quiet', '--bare', '--', template.replaceAll('{repo}', repo), target]);
  return target;
}

/** The files of a commit and nothing of what came after it. */
async function checkOut(gitDir: string, commit: string, target: string, dir: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const index = join(dir, 'index');
  await rm(index, { force: true });
  const where = [`--git-dir=${gitDir}`, `--work-tree=${target}`];
  const env = { GIT_INDEX_FILE: index };
  await git([...where, 'read-tree', `${commit}^{commit}`], { env });
  await git([...where, 'checkout-index', '--all', '--force'], { env, cwd: target });
}

/** Files as a patch leaves them, so that nothing has to be patched where work is graded, and what it removes. */
async function keepPatched(
  folder: string,
  { patch, files, removed }: { patch: string; files: string; removed: string },
): Promise<void> {
  if (patch.trim() === '') return;
  const scratch = join(folder, '..', 'scratch');
  await rm(scratch, { recursive: true, force: true });
  await cp(join(folder, 'repo'), scratch, { recursive: true, verbatimSymlinks: true });
  const options = { cwd: scratch, input: patch, env: { GIT_CEILING_DIRECTORIES: join(folder, '..', '..') } };
  const listed = await git(['apply', '--numstat', '-z', '-'], options);
  await git(['apply', '--whitespace=nowarn', '-'], options);
  const gone: string[] = [];
  // Of a renamed file only the new name is listed.
  const renamed = [...patch.matchAll(/^rename from (.+)$/gm)].map(([, path]) => path ?? '');
  for (const path of new Set([...pathsIn(listed), ...renamed])) {
    if (!(await exists(join(scratch, path)))) gone.push(path);
    else await cp(join(scratch, path), join(folder, files, path), { recursive: true, verbatimSymlinks: true });
  }
  await writeFile(join(folder, removed), gone.map((path) => `${path}\n`).join(''));
}

function onlyFailure(error: unknown): void {
  if (!(error instanceof Failure)) throw error;
}

/** `added TAB removed TAB path NUL`; of a renamed file the path is empty and both names follow. */
function pathsIn(listed: string): string[] {
  const paths: string[] = [];
  for (const part of listed.split('\0')) {
    const path = /^[\d-]+\t[\d-]+\t([^]*)$/.exec(part)?.[1] ?? part;
    if (path !== '') paths.push(path);
  }
  return paths;
}

async function setupFor(setup: string, id: string, repo: string): Promise<string | undefined> {
  const scripts = await readdir(setup).catch(() => undefined); // one script for all is no folder
  if (!scripts) return setup;
  const name = [`${id}.sh`, `${repo.replace('/', '__')}.sh`].find((script) => scripts.includes(script));
  return name && join(setup, name);
}

type GitOptions = { cwd?: string; input?: string; env?: Record<string, string> };

/** Runs git without the settings of its user, which are not the samples'. Throws Failure with what it says. */
async function git(args: string[], { cwd, input = '', env = {} }: GitOptions = {}): Promise<string> {
  const settings = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_COUNT: '2' };
  // A mirror may be another user's.
  const owner = { GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
  const noHooks = { GIT_CONFIG_KEY_1: 'core.hooksPath', GIT_CONFIG_VALUE_1: '/dev/null' };
  const variables = Object.entries({ ...settings, ...owner, ...noHooks, ...env }).map(
    ([name, value]) => `${name}=${value}`,
  );
  const child = spawn('env', [...variables, 'git', ...args], { cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null]>;
  child.stdin.on('error', () => {}); // told by how it ends
  child.stdin.end(input);
  const [[code], out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  if (code !== 0)
    throw new Failure(
      `git ${args.find((arg) => !arg.startsWith('-')) ?? ''}: ${err.trim().slice(0, REASON_CHARACTERS)}`,
    );
  return out;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
