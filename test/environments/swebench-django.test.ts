import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './datasets-world.ts';
import { apply, bytecode, endings, file, nothingIsSolvedBy } from './swebench-tricks.ts';
import { repository, swebenchWorld, type SwebenchWorld } from './swebench-world.ts';

let world: SwebenchWorld;
beforeAll(async () => void (world = await swebenchWorld()), 900_000);
afterAll(() => world.server.stop());

const RUNTESTS = `import argparse, os, sys, unittest
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from webby.test import Runner

parser = argparse.ArgumentParser()
parser.add_argument("modules", nargs="*")
parser.add_argument("--verbosity", type=int)
parser.add_argument("--parallel", type=int)
options = parser.parse_args()
sys.exit(bool(Runner(verbosity=options.verbosity).run_tests(options.modules)))
`;
const RUNNER = `import unittest


class Runner:
    def __init__(self, verbosity):
        self.verbosity = verbosity

    def run_tests(self, labels):
        suite = unittest.defaultTestLoader.loadTestsFromNames(labels)
        result = unittest.TextTestRunner(verbosity=self.verbosity).run(suite)
        return len(result.failures) + len(result.errors)
`;
const FIELD = 'def clean(value):\n    return value.strip()\n';
const OLD_FIELD_TESTS = `import unittest
from webby.fields import clean


class FieldTests(unittest.TestCase):
    def test_strips(self):
        self.assertEqual(clean(" a "), "a")
`;
const FIELD_TESTS = `${OLD_FIELD_TESTS}
    def test_empty(self):
        """Nothing but space is refused, and says so."""
        with self.assertRaises(ValueError):
            clean(" ")

    def test_each(self):
        for value in ["", "  "]:
            with self.subTest(value=value), self.assertRaises(ValueError):
                clean(value)
`;
const LABELS = {
  FAIL_TO_PASS: ['Nothing but space is refused, and says so.', 'test_each (fields.tests.FieldTests)'],
  PASS_TO_PASS: ['test_strips (fields.tests.FieldTests)'],
};
const SAID = [...LABELS.FAIL_TO_PASS, ...LABELS.PASS_TO_PASS].map((name) => `print("${name} ... ok")`).join('\n');
const EMPTIED = FIELD_TESTS.replaceAll(/clean\((" "|value)\)/g, 'raise ValueError');

/** What decides about the tests, put in the place of what did. */
const PLACED_BESIDE: Record<string, string> = {
  'a program of its own': file('tests/runtests.py', SAID),
  'modules in the place of the runner': endings('unittest', 'argparse', 'runpy', 'sitecustomize', 'json'),
  'a package in the place of the tests': file('tests/fields/tests/__init__.py', EMPTIED),
  'bytecode that is not compared with its source': bytecode('tests/fields/__pycache__/tests.cpython-311.pyc', EMPTIED),
};
/** A repository that brings its own runner has it graded too, as far as it is not among its tests. */
const OWN_RUNNER: Record<string, string> = {
  'a runner that says so': file('webby/test.py', `${SAID}\n${RUNNER}`),
  'a runner that ends': file('webby/test.py', `${SAID}\nimport os; os._exit(0)`),
  'a result that takes failures for passes': file(
    'webby/test.py',
    `${RUNNER}
for kind in (unittest.TestResult, unittest.TextTestResult):
    kind.addFailure = kind.addError = lambda self, test, err: self.addSuccess(test)
    kind.addSubTest = lambda self, test, part, err: self.addSuccess(test)`,
  ),
  'cases that never run': file(
    'webby/fields.py',
    `${FIELD}
import unittest
def run(self, result): result.startTest(self); result.addSuccess(self); result.stopTest(self)
unittest.TestCase.run = run`,
  ),
};

test('tests named as Django names them are run by the repository’s own program, and not to be faked', async () => {
  const folder = await temporaryFolder();
  const { dir: _dir, ...line } = await repository(folder, {
    id: 'acme__webby-3',
    repo: 'acme/webby',
    before: {
      'webby/__init__.py': '',
      'webby/test.py': RUNNER,
      'webby/fields.py': FIELD,
      'tests/runtests.py': RUNTESTS,
      'tests/fields/__init__.py': '',
      'tests/fields/tests.py': OLD_FIELD_TESTS,
    },
    solution: {
      'webby/fields.py': `${FIELD.replace('return', 'value =')}    if not value:\n        raise ValueError\n    return value\n`,
    },
    tests: { 'tests/fields/tests.py': FIELD_TESTS },
    ...LABELS,
  });
  await world.import('webby', [line], ['--repositories', folder]);
  expect(await world.checked('webby')).toMatchObject([{ state: 'offered', reason: null }]);
  const work = await world.open('webby', 'acme__webby-3');
  expect(await work.graded()).toMatchObject({
    is_success: false,
    passes: LABELS.PASS_TO_PASS,
    failures: LABELS.FAIL_TO_PASS.toSorted(),
  });
  await nothingIsSolvedBy(work, { ...PLACED_BESIDE, ...OWN_RUNNER });
  const beside = `${apply(line)}${Object.values(PLACED_BESIDE).join('\n')}`;
  expect(await work.gradedAfter(beside)).toMatchObject({ is_success: true, resolution: 'RESOLVED_FULL' });
  await work.close();
}, 400_000);
