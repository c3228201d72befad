import { describe, expect, test } from 'vitest';
import { readJunit } from '../../src/domains/environments/junit.ts';
import { repositoryPath } from '../../src/domains/environments/sample.ts';
import { verdictOf, type Evidence } from '../../src/domains/environments/verdict.ts';

const read = (xml: string) => Object.fromEntries(readJunit(Buffer.from(xml)));

describe('a report', () => {
  test.each([
    [
      'pytest',
      `<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="4">
<testcase classname="tests.test_a" name="test_x[a&amp;b]" time="0.1"/>
<testcase classname="tests.test_a" name="test_y"><failure message="assert 1 == 2">E &lt;x&gt;</failure></testcase>
<testcase classname="tests.test_a" name="test_z"><skipped type="pytest.skip" message="no"/></testcase>
<testcase classname="" name="tests.test_b"><error message="collection failure">boom</error></testcase></testsuite></testsuites>`,
      {
        'tests.test_a::test_x[a&b]': 'passed',
        'tests.test_a::test_y': 'failed',
        'tests.test_a::test_z': 'skipped',
        'pytest::tests.test_b': 'failed',
      },
    ],
    [
      'Surefire',
      `<testsuite name="a.BTest" tests="2"><properties><property name="x" value="y"/></properties>
<testcase name="one" classname="a.BTest" time="0.01"><system-out><![CDATA[<failure/>]]></system-out></testcase>
<testcase name="two" classname="a.BTest"><flakyFailure message="once">x</flakyFailure></testcase>
<testcase name="two" classname="a.CTest"><error type="java.lang.NPE"/></testcase></testsuite>`,
      { 'a.BTest::one': 'passed', 'a.BTest::two': 'passed', 'a.CTest::two': 'failed' },
    ],
    [
      'jest',
      `<testsuites name="jest tests" tests="2"><testsuite name="math"><testcase classname="math adds" name="math adds"/>
<testcase classname="math fails" name="math fails"><failure>Error</failure></testcase></testsuite></testsuites>`,
      { 'math adds::math adds': 'passed', 'math fails::math fails': 'failed' },
    ],
    [
      "Node's own runner",
      `<testsuites><testsuite name="outer" tests="2"><testsuite name="inner"><testcase name="deep" classname="test"/></testsuite>
<testcase name="skipped one" classname="test"><skipped type="skipped" message="true"/></testcase></testsuite>
<testcase name="alone" classname="test"/></testsuites>`,
      { 'test::deep': 'passed', 'test::skipped one': 'skipped', 'test::alone': 'passed' },
    ],
    [
      'gtest and CTest',
      `<testsuites><testsuite name="Ring"><testcase name="A" status="run" result="completed" classname="Ring"/>
<testcase name="B" status="notrun" result="suppressed" classname="Ring"/>
<testcase name="C" status="fail" classname="Ring"/></testsuite></testsuites>`,
      { 'Ring::A': 'passed', 'Ring::B': 'skipped', 'Ring::C': 'failed' },
    ],
    [
      'go-junit-report',
      `<testsuites><testsuite name="example.com/x"><testcase classname="x" name="TestA/sub_case"/></testsuite></testsuites>`,
      { 'x::TestA/sub_case': 'passed' },
    ],
  ])('of %s is read', (_runner, xml, outcomes) => expect(read(xml)).toEqual(outcomes));

  test('in which a test comes several times has it failed where it failed once', () => {
    const once = (inner: string) => `<testcase classname="a" name="b">${inner}</testcase>`;
    const all = `<testsuite>${once('')}${once('<failure/>')}${once('<skipped/>')}${once('')}</testsuite>`;
    expect(read(all)).toEqual({ 'a::b': 'failed' });
  });

  test.each([
    ['is empty', ''],
    ['is no XML', 'passed: all'],
    ['is cut off', '<testsuite><testcase name="a"'],
    ['is another document', '<html><body>1</body></html>'],
    ['brings a document type', '<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>'],
    ['is nested without end', `${'<testsuite>'.repeat(100)}${'</testsuite>'.repeat(100)}`],
    ['is too large', `<testsuite>${' '.repeat(5_000_001)}</testsuite>`],
  ])('that %s is refused', (_what, xml) =>
    expect(() => read(xml)).toThrow(expect.objectContaining({ code: 'invalid' })),
  );

  test('may name a test like a part of every object', () => {
    const names = ['__proto__', 'constructor', 'toString'];
    const xml = `<testsuite>${names.map((name) => `<testcase classname="${name}" name="${name}"/>`).join('')}</testsuite>`;
    expect([...readJunit(Buffer.from(xml)).keys()]).toEqual(names.map((name) => `${name}::${name}`));
  });
});

describe('a verdict', () => {
  const expected = { failToPass: ['a'], passToPass: ['b'], failToFail: ['x'] };
  const evidence = (
    outcomes: Record<string, 'passed' | 'failed' | 'skipped'>,
    more: Partial<Evidence> = {},
  ): Evidence => ({
    outcomes: new Map(Object.entries(outcomes)),
    reward: undefined,
    exitCode: 0,
    ...more,
  });
  const fine = { a: 'passed', b: 'passed', x: 'failed' } as const;

  test.each([
    ['exactly what is expected', fine, true, true],
    ['one more that is skipped', { ...fine, s: 'skipped' }, true, true],
    ['one more that passes', { ...fine, n: 'passed' }, false, true],
    ['one more that fails', { ...fine, n: 'failed' }, false, true],
    ['one that should fail and passes', { ...fine, x: 'passed' }, false, true],
    ['one missing that should fail', { a: 'passed', b: 'passed' }, false, true],
    ['one skipped that should pass', { ...fine, a: 'skipped' }, false, false],
    ['one missing that should pass', { b: 'passed', x: 'failed' }, false, false],
    ['one failed that should pass', { ...fine, b: 'failed' }, false, false],
    ['nothing', {}, false, false],
  ] as const)('on %s', (_what, outcomes, strict, subset) => {
    expect(verdictOf(expected, 'strict', evidence(outcomes)).isSuccess).toBe(strict);
    expect(verdictOf(expected, 'subset', evidence(outcomes)).isSuccess).toBe(subset);
  });

  test('of a sample that names no tests is what its verifier says', () => {
    const none = { failToPass: [], passToPass: [], failToFail: [] };
    const said = (outcomes: Parameters<typeof evidence>[0], more?: Partial<Evidence>) =>
      verdictOf(none, 'strict', evidence(outcomes, more)).isSuccess;
    expect([said({}, { reward: 1 }), said({}, { reward: 0.5 }), said({ a: 'passed' }, { reward: 0 })]).toEqual([
      true,
      false,
      false,
    ]);
    expect([said({ a: 'passed' }), said({}), said({ a: 'passed', b: 'failed' })]).toEqual([true, false, false]);
    expect([said({ a: 'passed' }, { exitCode: 1 }), said({ a: 'passed' }, { exitCode: undefined })]).toEqual([
      false,
      false,
    ]);
  });
});

test.each([
  ['astropy__astropy-12907', '/astropy'],
  ['starter__csv-rows-1', '/csv-rows'],
  ['assertj-assertj-vavr-f4d7f276e87c', '/assertj-assertj-vavr'],
  ['plain', '/plain'],
  ['a__..-1', '/workspace'],
])('the repository of %s is at %s', (instance, path) => expect(repositoryPath(instance)).toBe(path));
