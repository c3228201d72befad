import { posix } from 'node:path';
import { filesBelow, textOf, type BroughtFile } from '../tree.ts';

/** What a line may bring beside its repository: files as the test patch and the solution leave them. */
const TEST_FILES = 'tests';
const GOLD_FILES = 'gold';
/** Paths that the one and the other remove, one to a line. */
const REMOVED = 'removed';
const GOLD_REMOVED = 'gold-removed';

/** What runners read on their way to a test, and what Python runs by itself. */
const STEERING = ['conftest.py', 'pytest.ini', '.pytest.ini', 'tox.ini', 'setup.cfg', 'pyproject.toml'];
const STARTED = /(^|\/)(sitecustomize|usercustomize)\.py$/;
/** A folder of such a name that tests are in holds nothing but what belongs to tests: no solution touches it. */
const TEST_FOLDERS = new Set(['test', 'tests', 'testing']);
const LABEL = /^\w+ \(([\w.]+)\)$/;

/** What is done in the repository before its tests run, beside putting files there. */
export type Plan = {
  /** Files of the test patch, and those that hold the named tests. */
  files: string[];
  holders: string[];
  /** Folders in which there is no code but the sample's. */
  folders: string[];
  removed: string[];
};

/**
 * What of a repository is the sample's when work on it is graded, whatever the work has made of it: the files of the
 * test patch, all that is in their folders of tests, and what steers the runner, as the solution leaves it. A repository
 * that brought its own would grade itself.
 */
export function restored(
  brought: readonly BroughtFile[],
  repository: readonly BroughtFile[],
  names: readonly string[],
): { files: BroughtFile[]; plan: Plan } {
  const own = filesBelow(brought, TEST_FILES);
  const there = new Map(repository.map((file) => [file.path, file]));
  for (const path of linesOf(brought, GOLD_REMOVED)) if (isSteering(path)) there.delete(path);
  for (const file of filesBelow(brought, GOLD_FILES)) if (isSteering(file.path)) there.set(file.path, file);
  const removed = linesOf(brought, REMOVED);
  for (const path of removed) there.delete(path);
  for (const file of own) there.set(file.path, file);
  const holders = [...new Set(names.flatMap(placesOf))].filter((path) => there.has(path));
  const patched = own.map(({ path }) => path);
  const tests = [...holders, ...patched.filter((path) => !holders.includes(path))];
  const folders = [...new Set(tests.flatMap(folderOfTests))];
  const above = new Set(tests.flatMap(ancestorsOf));
  const belongs = (path: string): boolean =>
    tests.includes(path) ||
    STARTED.test(path) ||
    folders.some((folder) => path.startsWith(`${folder}/`)) ||
    (isSteering(path) && above.has(posix.dirname(path)));
  const steering = [...above].flatMap((folder) => STEERING.map((name) => posix.join(folder, name)));
  return {
    files: [...there.values()].filter(({ path }) => belongs(path)),
    plan: {
      files: patched,
      holders: tests.filter((path) => path.endsWith('.py')),
      folders,
      removed: [...removed, ...steering.filter((path) => !there.has(path))],
    },
  };
}

const linesOf = (brought: readonly BroughtFile[], path: string): string[] =>
  (textOf(brought, path) ?? '').split('\n').filter(Boolean);

const isSteering = (path: string): boolean => STEERING.includes(posix.basename(path));

/** Where the test of a name may be: `path::name`, or `method (module.Class)`, Django's modules being below `tests`. */
function placesOf(name: string): string[] {
  const label = LABEL.exec(name)?.[1];
  if (label === undefined) return name.includes('::') ? [name.slice(0, name.indexOf('::'))] : [];
  const parts = label.split('.');
  // The class is the last part, or the last but one where Python names the method once more.
  return [parts.slice(0, -1), parts.slice(0, -2)]
    .map((module) => `${module.join('/')}.py`)
    .flatMap((path) => [path, `tests/${path}`]);
}

/** The outermost folder of tests that a test is in. */
function folderOfTests(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  const at = parts.findIndex((part) => TEST_FOLDERS.has(part));
  return at < 0 ? [] : [parts.slice(0, at + 1).join('/')];
}

/** The folders above a file, the repository itself among them. */
const ancestorsOf = (path: string): string[] =>
  path.split('/').map((_part, index, parts) => parts.slice(0, index).join('/') || '.');
