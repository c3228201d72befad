import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openBlobs, type Blobs } from '../../src/domains/environments/blobs.ts';
import {
  findDataset,
  findSample,
  findShown,
  listDatasets,
  listShown,
  summarize,
} from '../../src/domains/environments/dataset-store.ts';
import { importSamples, openDataset, type Brought, type ImportDeps } from '../../src/domains/environments/import.ts';
import type { SampleId } from '../../src/domains/environments/sample.ts';
import { importStarter } from '../../src/domains/environments/starter.ts';
import { archiveOf, keepTree, readTree, type BroughtFile } from '../../src/domains/environments/tree.ts';
import { tarOf } from '../../src/domains/environments/archive.ts';
import { must } from '../../src/platform/run.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';
import { systemOp } from '../harness/op.ts';
import { temporaryFolder } from './datasets-world.ts';

let database: TestDatabase;
const checks: string[] = [];

beforeAll(async () => {
  database = await testDatabase();
  return () => database.drop();
});

async function deps(): Promise<ImportDeps & { blobs: Blobs; dir: string }> {
  const dir = await temporaryFolder();
  return { db: database.db, blobs: openBlobs(dir), dir, requestCheck: async (_tx, id) => void checks.push(id) };
}

const file = (path: string, text: string | Buffer, executable = false): BroughtFile => ({
  kind: 'file',
  path,
  executable,
  content: Buffer.from(text),
});

const TASK = `
version = "1.0"
[task]
name = "acme/fix-it"
[metadata]
fail_to_pass = ["a::b"]
[metadata.freehold]
image = "base"
workspace = "environment/repo"
grades = "workspace"
[verifier]
timeout_sec = 30.5
[environment]
memory = "1G"
cpus = 1
`;
const harborFiles = (task = TASK): BroughtFile[] => [
  file('task.toml', task),
  file('instruction.md', 'Fix it.'),
  file('environment/repo/main.py', 'x = 1\n'),
  file('environment/Dockerfile', 'FROM debian\nWORKDIR /srv/it\n'),
  file('tests/test.sh', 'exit 1\n', true),
  file('solution/solve.sh', 'true\n', true),
];
const harbor = (name: string, files = harborFiles()): Brought => ({ format: 'harbor', folder: { name, files } });
const line = (values: object): Brought => ({ format: 'swebench', line: JSON.stringify(values) });

async function taken(dataset: string, ...brought: Brought[]) {
  const kit = await deps();
  await openDataset(database.db, systemOp(), dataset, {});
  return { ...kit, results: await importSamples(kit, systemOp(), dataset, brought) };
}

describe('contents', () => {
  test('have the hash of their bytes as their name, once', async () => {
    const dir = await temporaryFolder();
    const blobs = openBlobs(dir);
    const [one, other] = await Promise.all([blobs.put('hello'), blobs.put(Buffer.from('hello'))]);
    expect([one, other]).toEqual(Array(2).fill('2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'));
    expect((await blobs.read(one)).toString()).toBe('hello');
    expect(await readdir(join(dir, '2c'))).toEqual([one]);
    expect(await readdir(join(dir, 'drafts'))).toEqual([]);
  });

  test('that broke off are not there, and what they left is removed', async () => {
    const dir = await temporaryFolder();
    const blobs = openBlobs(dir);
    const broken = async function* () {
      yield Buffer.from('half');
      throw new Error('the connection broke');
    };
    await expect(blobs.putStream(broken())).rejects.toThrow('the connection broke');
    await blobs.put('x');
    await writeFile(join(dir, 'drafts', 'left'), 'half');
    expect(await blobs.removeDrafts(new Date(Date.now() - 60_000))).toBe(0);
    expect(await blobs.removeDrafts(new Date(Date.now() + 60_000))).toBe(1);
    expect(await readdir(join(dir, 'drafts'))).toEqual([]);
    expect(await readdir(dir)).toHaveLength(2);
  });

  test('are asked for by hashes only', async () => {
    const blobs = openBlobs(await temporaryFolder());
    await expect(blobs.has('../../../etc/passwd')).rejects.toThrow('not the name');
  });
});

describe('a SWE-bench file', () => {
  const full = {
    instance_id: 'astropy__astropy-12907',
    repo: 'astropy/astropy',
    base_commit: 'd16bfe05',
    problem_statement: 'It is wrong.',
    version: '4.3',
    patch: 'diff',
    test_patch: 'diff',
    created_at: '2022-03-03T15:14:54Z',
    FAIL_TO_PASS: ['a::b'],
    PASS_TO_PASS: JSON.stringify(['c::d', 'e::f']),
  };

  test('has lists as lists or as JSON in a text, and what it leaves out is empty', async () => {
    const { results } = await taken(
      'swe',
      line(full),
      line({ ...full, instance_id: 'x__y-1', hints_text: null, FAIL_TO_PASS: '' }),
    );
    expect(results.map(({ outcome, state }) => [outcome, state])).toEqual(
      [0, 1].map(() => ['imported', 'not_runnable']),
    );
    const sample = await findShown(database.db, { dataset: 'swe', sampleId: 'astropy__astropy-12907' });
    expect(sample?.text).toMatchObject({
      failToPass: ['a::b'],
      passToPass: ['c::d', 'e::f'],
      hintsText: '',
      language: 'python',
    });
    expect(sample?.recipe.workdir).toBe('/astropy');
    expect(sample?.reason).toMatch(/--repositories/);
  });

  test('loses nothing of what is wrong in it', async () => {
    const { results } = await taken(
      'wrong',
      { format: 'swebench', line: '{not json' },
      line({ ...full, instance_id: '../../etc' }),
      line({ ...full, FAIL_TO_PASS: '[1]' }),
      line({ ...full, problem_statement: 'nul \0' }),
      line({ instance_id: 'a__b-1' }),
      line(full),
    );
    expect(results.map(({ outcome }) => outcome)).toEqual([...Array(5).fill('refused'), 'imported']);
    expect(results.slice(0, 5).map(({ reason }) => reason)).toEqual([
      'The line is not JSON',
      'instance_id is missing or wrong',
      'FAIL_TO_PASS is no list of test names',
      'It has characters that no text has',
      'problem_statement is missing or wrong',
    ]);
  });
});

describe('a Harbor folder', () => {
  test('becomes a sample that waits for its check', async () => {
    const { results, blobs } = await taken('harbor', harbor('fix-it-1'));
    expect(results).toEqual([{ sampleId: 'fix-it-1', outcome: 'imported', state: 'unchecked', reason: undefined }]);
    expect(checks).toHaveLength(1);
    expect(await listShown(database.db, { dataset: 'harbor' }, undefined)).toEqual([]);
    const [row] = await database.db.query<{ workspace_tree: string; recipe: unknown; text: unknown }>(
      `select workspace_tree, recipe, text from env_samples where dataset = 'harbor'`,
    );
    expect(row?.recipe).toMatchObject({
      image: 'base',
      workdir: '/srv/it',
      limits: { vcpus: 1, memoryMb: 1_024 },
      internet: false,
      grades: 'workspace',
      command: 'bash /tests/test.sh',
      solve: 'bash /solution/solve.sh',
      timeoutSeconds: 31,
    });
    expect(row?.text).toMatchObject({ language: 'python', problemStatement: 'Fix it.', failToPass: ['a::b'] });
    expect(await readTree(blobs, row?.workspace_tree ?? '')).toMatchObject([
      { path: 'main.py', executable: false, bytes: 6 },
    ]);
  });

  test('has a network where its task asks for one', async () => {
    const asked = harborFiles(`${TASK}allow_internet = true\n`);
    const { results } = await taken('harbor-open', harbor('open-1', asked));
    expect(results).toMatchObject([{ outcome: 'imported' }]);
    const [row] = await database.db.query<{ recipe: unknown }>(
      `select recipe from env_samples where dataset = 'harbor-open'`,
    );
    expect(row?.recipe).toMatchObject({ internet: true });
  });

  test('without an image of ours is kept and marked', async () => {
    const plain = harborFiles('version = "1.0"\n');
    const { results } = await taken(
      'marked',
      harbor('docker', plain),
      harbor('compose', [
        ...plain.filter(({ path }) => !path.includes('Docker')),
        file('environment/docker-compose.yaml', 'x'),
      ]),
      harbor(
        'nothing',
        plain.filter(({ path }) => !path.startsWith('environment')),
      ),
      harbor('strange', harborFiles(TASK.replace('"base"', '"alpine"'))),
    );
    expect(results.map(({ state, reason }) => [state, reason])).toEqual([
      ['unchecked', undefined],
      ['not_runnable', 'It runs several containers beside each other'],
      ['not_runnable', 'It says nothing of its image'],
      ['not_runnable', 'There is no image "alpine"'],
    ]);
    const dataset = (await listDatasets(database.db)).find(({ name }) => name === 'marked');
    expect(dataset?.sampleCount).toBe(3);
  });

  test('is refused where it is none', async () => {
    const without = (name: string) => harborFiles().filter(({ path }) => path !== name);
    const { results } = await taken(
      'refused',
      harbor('a', without('task.toml')),
      harbor('b', without('instruction.md')),
      harbor('c', without('tests/test.sh')),
      harbor('d', [...without('task.toml'), file('task.toml', '= nonsense')]),
      harbor('e', harborFiles('[verifier]\ntimeout_sec = "soon"\n')),
      harbor('f', [...without('instruction.md'), file('instruction.md', Buffer.from([0xff, 0xfe]))]),
      harbor('a/../b'),
    );
    expect(results.map(({ reason }) => reason)).toEqual([
      'It has no task.toml',
      'It has no instruction.md',
      'It has no tests/test.sh',
      'task.toml is not TOML: line 1',
      'task.toml: verifier.timeout_sec is wrong',
      'instruction.md is not UTF-8 text',
      'The name of its folder is no name of a sample',
    ]);
  });

  test.each([
    ['..', file('a/../../x', '')],
    ['a path from the root', file('/etc/passwd', '')],
    ['an empty step', file('a//b', '')],
    ['a control character', file('a\nb', '')],
    ['a name twice', file('instruction.md', '')],
    ['something below a file', file('instruction.md/x', '')],
    ['something below a link', { kind: 'link' as const, path: 'tests', target: '/etc' }],
    ['a link to nowhere', { kind: 'link' as const, path: 'l', target: '' }],
  ])('with %s is refused', async (_what, bad) => {
    const { results } = await taken('paths', harbor('x', [...harborFiles(), bad]));
    expect(results[0]).toMatchObject({ outcome: 'refused', state: undefined });
  });

  test('again is the same version, changed is the next', async () => {
    const changed = harborFiles().map((one) =>
      one.path === 'environment/repo/main.py' ? file(one.path, 'x = 2\n') : one,
    );
    const { results } = await taken('versions', harbor('v'), harbor('v'), harbor('v', changed), harbor('v', changed));
    expect(results.map(({ outcome }) => outcome)).toEqual(['imported', 'unchanged', 'new_version', 'unchanged']);
    expect(await summarize(database.db, 'versions')).toMatchObject([{ sampleId: 'v', version: 2, state: 'unchecked' }]);
  });
});

describe('a Terminal-Bench folder', () => {
  const files = [
    file('task.yaml', 'instruction: |-\n  Do it.\ndifficulty: easy\ncategory: files\nmax_test_timeout_sec: 60\n'),
    file('Dockerfile', 'FROM x\nWORKDIR /work\n'),
    file('run-tests.sh', 'pytest'),
    file('tests/test_outputs.py', 'def test_it(): pass\n'),
    file('solution.sh', 'true\n'),
    file('data/input.txt', 'x'),
  ];
  const task = (name: string, wanted = files): Brought => ({
    format: 'terminal-bench',
    folder: { name, files: wanted },
  });

  test('is kept with its parts apart', async () => {
    const { results, blobs } = await taken('tb', task('hello-world'));
    expect(results).toMatchObject([{ outcome: 'imported', state: 'unchecked' }]);
    const sample = await findSample(database.db, checks.at(-1) as SampleId);
    expect(sample).toMatchObject({
      text: { problemStatement: 'Do it.', description: 'files, easy' },
      recipe: {
        workdir: '/work',
        command: 'bash /tests/run-tests.sh',
        timeoutSeconds: 60,
        env: { TEST_DIR: '/tests' },
      },
    });
    const paths = async (hash = '') => (await readTree(blobs, hash)).map(({ path }) => path);
    expect(await paths(sample?.trees.tests)).toEqual(['run-tests.sh', 'test_outputs.py']);
    expect(await paths(sample?.trees.solution)).toEqual(['solution.sh']);
    expect(await paths(sample?.trees.context)).toEqual(['Dockerfile', 'data/input.txt']);
  });

  test('is refused where it is none, also where its YAML unfolds without end', async () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(8)}]\nc: &c [${'*b,'.repeat(8)}]\nd: [${'*c,'.repeat(8)}]\n`;
    const withTask = (text: string) => [...files.slice(1), file('task.yaml', text)];
    const { results } = await taken(
      'tb-wrong',
      task('a', withTask('instruction: [')),
      task('b', withTask('instruction: 1')),
      task('c', withTask(`instruction: x\n${bomb}`)),
      task(
        'd',
        files.filter(({ path }) => path !== 'run-tests.sh'),
      ),
    );
    expect(results.map(({ reason }) => reason)).toEqual([
      'task.yaml is not YAML',
      'task.yaml: instruction is wrong',
      'task.yaml is not YAML',
      'It has no run-tests.sh',
    ]);
  });
});

test('an archive is what tar unpacks, with long names, links and modes', async () => {
  const { blobs, results } = await taken('archives', harbor('x'));
  expect(results).toHaveLength(1);
  const long = `${'folder/'.repeat(20)}é 😀.txt`;
  const hash = await keepTree(blobs, [
    file(long, 'long'),
    file('run', '#!', true),
    file('empty', ''),
    file('big', Buffer.alloc(100_001, 7)),
    { kind: 'link', path: 'link', target: '../'.repeat(50) },
  ]);
  const chunks: Buffer[] = [];
  for await (const chunk of tarOf(archiveOf(blobs, await readTree(blobs, hash), 'below'))) chunks.push(chunk);
  const dir = await temporaryFolder();
  await must(['tar', '-x', '-C', dir], { stdin: Buffer.concat(chunks) });
  const listing = await must(['find', '.', '!', '-type', 'd', '-printf', '%p %s %m %l\\n'], { cwd: dir });
  expect(listing.split('\n').filter(Boolean).toSorted()).toEqual(
    [
      `./below/${long} 4 644 `,
      './below/big 100001 644 ',
      './below/empty 0 644 ',
      `./below/link 150 777 ${'../'.repeat(50)}`,
      './below/run 2 755 ',
    ].toSorted(),
  );
});

test('the starter has at least 12 samples in four languages, offered at once, and is taken in once', async () => {
  const kit = await deps();
  const results = await importStarter(kit, systemOp());
  expect(results.length).toBeGreaterThanOrEqual(12);
  expect(results.filter(({ outcome, state }) => outcome !== 'imported' || state !== 'offered')).toEqual([]);
  const again = await importStarter(kit, systemOp());
  expect(new Set(again.map(({ outcome }) => outcome))).toEqual(new Set(['unchanged']));
  const samples = await listShown(database.db, { dataset: 'starter' }, undefined);
  expect(new Set(samples.map(({ text }) => text.language))).toEqual(new Set(['python', 'javascript', 'c', 'shell']));
  for (const sample of samples) {
    expect(sample.text.patch).toMatch(/^diff --git/);
    expect(sample.text.failToPass.length).toBeGreaterThan(0);
    expect(sample.recipe.workdir).toBe(`/${sample.text.repo.split('/')[1]}`);
  }
  expect(await findDataset(database.db, 'starter')).toMatchObject({ grading: 'strict', reveals: false });
});
