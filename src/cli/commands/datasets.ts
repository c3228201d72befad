import { openAsBlob, type Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { show, type Command, type Session } from '../command.ts';
import { openRepositories, type Instance, type Repositories } from '../datasets/repository.ts';
import { Failure, WrongUsage } from '../failure.ts';
import { brief, moment, plural, table } from '../layout.ts';

type Result = { sample_id: string; outcome: string; state: string | null; reason: string | null };
type Imported = { results: Result[] };
type Summary = {
  samples: { sample_id: string; version: number; state: string; reason: string | null; checked_at: string | null }[];
};
type Listed = { name: string; description: string | null; sample_count: number };

/** The file by which a folder of each format is known. */
const TASK_FILES = { harbor: 'task.toml', 'terminal-bench': 'task.yaml' } as const;
type FolderFormat = keyof typeof TASK_FILES;
const FORMATS = ['swebench', ...Object.keys(TASK_FILES)];
const LINES_AT_ONCE = 20;
/** What a request holds beside its large files, which are sent before it. */
const MAX_INLINE_BYTES = 30_000_000;
const LARGE_FILE_BYTES = 1_000_000;
const EXECUTABLE = 0o100;
const REASON_CHARACTERS = 80;

const importCommand: Command = {
  name: 'datasets import',
  summary: 'Take samples into a dataset',
  about:
    'PATH is a SWE-bench JSONL file, a task folder, or a folder of task folders. Each sample is checked on the server before it is offered: its solution must pass, and nothing must not. Ends with 1 where a sample was refused.',
  positionals: ['PATH'],
  options: {
    format: { kind: 'text', value: 'FORMAT', says: 'swebench, harbor or terminal-bench' },
    name: { kind: 'text', value: 'NAME', says: "The dataset's name; else that of the file or folder" },
    description: { kind: 'text', value: 'TEXT', says: 'What it is' },
    grading: { kind: 'text', value: 'RULE', says: 'strict (so without it) or subset' },
    repositories: {
      kind: 'text',
      value: 'FROM',
      says: 'Of a SWE-bench file: a folder of git repositories, or a URL with {repo} in it',
    },
    setup: {
      kind: 'text',
      value: 'PATH',
      says: 'A script that prepares the image, or a folder of them by INSTANCE.sh',
    },
    reveal: { kind: 'flag', says: 'Show hidden tests and solutions to everybody; --no-reveal hides them again' },
  },
  async run(session, given) {
    const format = given.required('format');
    const path = resolve(given.positional('PATH'));
    if (!FORMATS.includes(format)) throw new WrongUsage(`--format must be one of ${FORMATS.join(', ')}.`);
    const name = given.text('name') ?? basename(path).replace(/\.jsonl?$/, '');
    const about = {
      description: given.text('description'),
      grading: given.text('grading'),
      reveals: given.flag('reveal'),
    };
    const from = given.text('repositories');
    if (from !== undefined && format !== 'swebench')
      throw new WrongUsage('--repositories is for SWE-bench files; task folders bring their own.');
    if (from === undefined && given.text('setup') !== undefined)
      throw new WrongUsage('--setup needs --repositories beside it.');
    await session.operator().post('/v1/admin/datasets', { body: { name, ...about } });
    const repositories = from === undefined ? undefined : await openRepositories(from, given.text('setup'));
    try {
      const parts =
        format === 'swebench' ? linesOf(session, path, repositories) : foldersOf(session, path, format as FolderFormat);
      report(session, name, await bring(session, name, format, parts));
    } finally {
      await repositories?.close();
    }
  },
};

/** What one request takes in: some lines, a folder, or what could not even be sent. */
type Part = { body: object; remark?: string } | { refused: Result };

async function bring(session: Session, name: string, format: string, parts: AsyncIterable<Part>): Promise<Result[]> {
  const results: Result[] = [];
  for await (const part of parts) {
    if ('refused' in part) {
      results.push(part.refused);
      continue;
    }
    const path = `/v1/admin/datasets/${encodeURIComponent(name)}/samples`;
    const { body } = await session.operator().post<Imported>(path, { body: { format, ...part.body } });
    results.push(...body.results.map((result) => ({ ...result, reason: part.remark ?? result.reason })));
  }
  return results;
}

async function* linesOf(session: Session, path: string, repositories: Repositories | undefined): AsyncGenerator<Part> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => unreadable(path, cause));
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (repositories) {
    for (const line of lines) yield await lineWith(session, repositories, line);
    return;
  }
  for (let at = 0; at < lines.length; at += LINES_AT_ONCE)
    yield { body: { lines: lines.slice(at, at + LINES_AT_ONCE) } };
}

/** A line with its repository; one whose repository cannot be had comes without and is marked. */
async function lineWith(session: Session, repositories: Repositories, line: string): Promise<Part> {
  try {
    const folder = await folderAt(session, await repositories.folderFor(instanceIn(line)));
    return 'refused' in folder ? folder : { body: { lines: [line], ...folder.body } };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { body: { lines: [line] }, remark: error.message };
  }
}

function instanceIn(line: string): Instance {
  const given = parsed(line);
  const textOf = (name: keyof Instance): string => (typeof given[name] === 'string' ? given[name] : '');
  return {
    instance_id: textOf('instance_id'),
    repo: textOf('repo'),
    base_commit: textOf('base_commit'),
    patch: textOf('patch'),
    test_patch: textOf('test_patch'),
  };
}

/** A line that is no object is told by the server. */
function parsed(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

async function* foldersOf(session: Session, path: string, format: FolderFormat): AsyncGenerator<Part> {
  const entries = await readdir(path, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) =>
    unreadable(path, cause),
  );
  const isTask = entries.some(({ name }) => name === TASK_FILES[format]);
  const folders = isTask ? [path] : entries.filter((one) => one.isDirectory()).map(({ name }) => join(path, name));
  if (folders.length === 0) throw new Failure(`${path} has no task folders.`);
  for (const folder of folders.toSorted()) yield await folderAt(session, folder);
}

async function folderAt(session: Session, path: string): Promise<Part> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  const stats = await Promise.all(found.map(async (file) => ({ file, stats: await lstat(file) })));
  if (stats.some(({ stats: one }) => !one.isFile() && !one.isSymbolicLink())) {
    const reason = 'It has more than files and links';
    return { refused: { sample_id: basename(path), outcome: 'refused', state: null, reason } };
  }
  const files = [];
  let inline = 0;
  // Files of a task's own come before those of its parts, so that what is read of it is in the request.
  for (const { file, stats: one } of stats.toSorted((a, b) => depthOf(a.file) - depthOf(b.file))) {
    const isLarge = one.size > LARGE_FILE_BYTES || inline + one.size > MAX_INLINE_BYTES;
    if (!isLarge) inline += one.size;
    files.push(await fileAt(session, path, file, one, isLarge));
  }
  return { body: { folder: { name: basename(path), files } } };
}

const depthOf = (file: string): number => file.split(sep).length;

async function fileAt(session: Session, folder: string, file: string, stats: Stats, isLarge: boolean): Promise<object> {
  const path = file.slice(folder.length + 1);
  if (stats.isSymbolicLink()) return { path, link_to: await readlink(file) };
  const executable = (stats.mode & EXECUTABLE) !== 0;
  if (!isLarge) return { path, content_base64: (await readFile(file)).toString('base64'), executable };
  const sent = await session.operator().send<{ sha256: string }>('/v1/admin/contents', await openAsBlob(file));
  return { path, sha256: sent.body.sha256, executable };
}

function unreadable(path: string, cause: NodeJS.ErrnoException): never {
  throw new Failure(`${basename(path)} in ${dirname(path)} cannot be read (${cause.code}).`, { cause });
}

function report({ terminal, output }: Session, name: string, results: Result[]): void {
  const refused = results.filter(({ outcome }) => outcome === 'refused').length;
  if (refused > 0) process.exitCode = 1;
  if (output === 'json') return terminal.print(JSON.stringify({ dataset: name, results }));
  terminal.print(
    table(
      results,
      [
        { title: 'sample', of: (result) => result.sample_id },
        { title: 'outcome', of: (result) => result.outcome },
        { title: 'state', of: (result) => result.state ?? '–' },
        { title: 'reason', of: (result) => brief(result.reason ?? '', REASON_CHARACTERS) },
      ],
      { paint: terminal.paint, empty: 'There was nothing to import.' },
    ),
  );
  terminal.say(`${plural(results.length - refused, 'sample')} in ${name}, ${refused} refused.`);
}

const list: Command = {
  name: 'datasets list',
  summary: 'List the datasets',
  async run(session) {
    show(session, await session.stranger().get<Listed[]>('/api/v1/datasets'), (datasets) =>
      table(
        datasets,
        [
          { title: 'dataset', of: ({ name }) => name },
          { title: 'samples', of: (dataset) => String(dataset.sample_count), side: 'right' },
          { title: 'description', of: ({ description }) => brief(description ?? '', REASON_CHARACTERS) },
        ],
        { paint: session.terminal.paint, empty: 'There are no datasets.' },
      ),
    );
  },
};

const status: Command = {
  name: 'datasets status',
  summary: 'Show what became of the samples of a dataset',
  positionals: ['NAME'],
  options: { check: { kind: 'flag', says: 'Check those once more that are not offered' } },
  async run(session, given) {
    const path = `/v1/admin/datasets/${encodeURIComponent(given.positional('NAME'))}`;
    if (given.flag('check')) await session.operator().post(`${path}/check`);
    show(session, await session.operator().get<Summary>(`${path}/samples`), ({ samples }) =>
      table(
        samples,
        [
          { title: 'sample', of: (sample) => sample.sample_id },
          { title: 'version', of: (sample) => String(sample.version), side: 'right' },
          { title: 'state', of: (sample) => sample.state },
          { title: 'checked (utc)', of: (sample) => moment(sample.checked_at) },
          { title: 'reason', of: (sample) => brief(sample.reason ?? '', REASON_CHARACTERS) },
        ],
        { paint: session.terminal.paint, empty: 'It has no samples.' },
      ),
    );
  },
};

export const datasetCommands: Command[] = [list, importCommand, status];
