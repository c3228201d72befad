import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './datasets-world.ts';
import { repository, swebenchWorld, type SwebenchWorld } from './swebench-world.ts';

let world: SwebenchWorld;
beforeAll(async () => void (world = await swebenchWorld()), 900_000);
afterAll(() => world.server.stop());

const TEST = `import unittest
from lib.adder import add

class Adding(unittest.TestCase):
    def test_small(self):
        self.assertEqual(add(1, 1), 2)
`;
const MORE = `${TEST}
    def test_negative(self):
        self.assertEqual(add(-1, -1), -2)

    @unittest.skip("no such machine")
    def test_exotic(self):
        pass
`;
const NAME = 'tests.test_adder.Adding)';

/** A repository whose tests come with the patch; one of them is removed by it. */
const adder = (folder: string) =>
  repository(folder, {
    id: 'acme__adder-1',
    repo: 'acme/adder',
    before: {
      'lib/__init__.py': '',
      'lib/adder.py': 'def add(a, b):\n    return abs(a) + abs(b)\n',
      'conftest.py': '',
      'tests/__init__.py': '',
      'tests/test_adder.py': TEST,
      'tests/test_old.py': 'import unittest\n',
    },
    solution: { 'lib/adder.py': 'def add(a, b):\n    return a + b\n' },
    tests: { 'tests/test_adder.py': MORE, 'tests/test_old.py': null },
    FAIL_TO_PASS: JSON.stringify([`test_negative (${NAME}`]),
    PASS_TO_PASS: [`test_small (${NAME}`],
  });

test('SWE-bench samples run in their repository, with the tests of the patch there only when work is graded', async () => {
  const folder = await temporaryFolder();
  const { dir: _dir, ...sample } = await adder(folder);
  const lines = [
    sample,
    { ...sample, instance_id: 'acme__adder-2', PASS_TO_PASS: [] },
    { ...sample, instance_id: 'acme__adder-3', patch: '' },
    { ...sample, instance_id: 'acme__nowhere-1', repo: 'acme/nowhere' },
    { ...sample, instance_id: 'acme__adder-4', base_commit: '0123456789abcdef' },
    { ...sample, instance_id: 'acme__adder-5', base_commit: '--output=/tmp/x' },
    { ...sample, instance_id: 'acme__adder-6', FAIL_TO_PASS: [`test_negative (${NAME}`, `test_exotic (${NAME}`] },
  ];
  const setup = join(folder, 'setup');
  await mkdir(setup);
  await writeFile(join(setup, 'acme__adder-2.sh'), 'echo prepared > built.txt; echo made > /etc/made\n');
  const results = await world.import('swe', lines, ['--repositories', folder, '--setup', setup]);
  expect(results.map(({ sample_id: id, state, reason }) => [id, state, reason])).toEqual([
    ['acme__adder-1', 'unchecked', null],
    ['acme__adder-2', 'unchecked', null],
    ['acme__adder-3', 'unchecked', null],
    ['acme__nowhere-1', 'not_runnable', expect.stringContaining('There is no repository acme/nowhere')],
    ['acme__adder-4', 'not_runnable', expect.stringContaining('git read-tree')],
    ['acme__adder-5', 'not_runnable', 'It names no repository and commit'],
    ['acme__adder-6', 'unchecked', null],
  ]);
  const states = Object.fromEntries(
    (await world.checked('swe')).map((one) => [one.sample_id, one.reason ?? one.state]),
  );
  expect(states).toMatchObject({
    'acme__adder-1': 'offered',
    'acme__adder-2': 'offered',
    'acme__adder-3': 'It has no solution that could be run',
    // What is skipped has not passed.
    'acme__adder-6': expect.stringContaining('Its solution does not pass'),
  });
  for (const id of ['acme__adder-1', 'acme__adder-2']) await solvedAndFaked(id);
}, 700_000);

/** The same session is graded three times: dressed up, untouched, then solved. */
async function solvedAndFaked(id: string): Promise<void> {
  const work = await world.open('swe', id);
  const built = id === 'acme__adder-2';
  const looked = await work.run('pwd; git log --oneline | wc -l; cat built.txt /etc/made 2>/dev/null; ls tests');
  expect(looked.stdout).toBe(
    `/testbed\n1\n${built ? 'prepared\nmade\n' : ''}__init__.py\ntest_adder.py\ntest_old.py\n`,
  );
  expect((await work.run('grep -rn test_negative . /tests')).stdout).toBe('');
  const toPass = built ? [] : [`test_small (${NAME}`];
  await work.run('rm -rf tests && ln -s /logs/verifier tests; (while :; do sleep 1; done) & exit 0');
  expect(await work.graded()).toMatchObject({ is_success: false, resolution: 'RESOLVED_NO' });
  await work.run('rm -f tests; git checkout -q tests; echo "" > tests/test_adder.py');
  expect(await work.graded()).toMatchObject({
    is_success: false,
    passes: toPass,
    failures: [`test_negative (${NAME}`],
  });
  await work.run(`sed -i 's/abs(a) + abs(b)/a + b/' lib/adder.py`);
  expect(await work.graded()).toMatchObject({
    is_success: true,
    resolution: 'RESOLVED_FULL',
    passes: [`test_negative (${NAME}`, ...toPass],
    failures: [],
  });
  expect(await work.diff()).toMatch(/^\+ {4}return a \+ b$/m);
  await work.close();
}
