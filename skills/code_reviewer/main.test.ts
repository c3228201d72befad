import { describe, expect, test } from 'vitest';
import { run } from './main.ts';

type Told = { rule: string; line: number; severity: string };
type Reviewed = {
  language: string;
  syntax_ok: boolean;
  syntax_error?: { line: number };
  score: number | null;
  findings: Told[];
  metrics: Record<string, number>;
};
const review = (code: string, language?: string): Reviewed => run({ code, language }) as Reviewed;
const rulesOf = (code: string, language: string): string[] =>
  review(code, language).findings.map(({ rule, line }) => `${line} ${rule}`);

describe('JavaScript', () => {
  test.each([
    ['eval(input)', 'eval'],
    ['setTimeout("go()", 10)', 'implied-eval'],
    ['import { exec } from "node:child_process"; exec(`rm ${name}`)', 'shell-injection'],
    ['db.query("select * from users where id = " + id)', 'sql-injection'],
    ['db.query(`delete from users where id = ${id}`)', 'sql-injection'],
    ['element.innerHTML = text', 'inner-html'],
    ['const password = "hunter22"', 'hard-coded-secret'],
    ['const key = "AKIAABCDEFGHIJKLMNOP"', 'leaked-credential'],
    ['const token = Math.random()', 'weak-random'],
    ['crypto.createHash("md5")', 'weak-hash'],
    ['if (a == b) go()', 'eqeqeq'],
    ['if (a === NaN) go()', 'compare-nan'],
    ['if (a === a) go()', 'self-compare'],
    ['if (a = b) go()', 'assignment-in-condition'],
    ['try { go() } catch {}', 'empty-catch'],
    ['try { go() } finally { return 1 }', 'return-in-finally'],
    ['function f() { return 1; go() }', 'unreachable'],
    ['switch (a) { case 1: go(); case 2: go() }', 'fall-through'],
    ['const a = { x: 1, x: 2 }', 'duplicate-key'],
    ['new Promise(async (done) => done())', 'async-executor'],
    ['const a = /(a+)+$/', 'slow-pattern'],
    ['import { a } from "b"', 'unused-import'],
    ['debugger', 'debugger'],
    ['throw "no"', 'throw-text'],
  ])('%s is told as %s', (code, rule) => expect(rulesOf(code, 'javascript')).toContain(`1 ${rule}`));

  test.each([
    'db.query("select * from users where id = $1", [id])',
    'execFile("rm", [name])',
    'if (a == null) go()',
    'const password = process.env.PASSWORD',
    'const password = "changeme"',
    'import { a } from "b"; a()',
    'switch (a) { case 1: case 2: go(); break; default: go() }',
    'if (a === b) go()',
  ])('of %s there is nothing to say', (code) => expect(rulesOf(code, 'javascript')).toEqual([]));

  test('is measured function by function', () => {
    const code = `
      class A { go(a, b) { if (a) { for (const c of b) { if (c && a) return c; } } else if (b) { return b; } } }
      const flat = () => 1;
    `;
    const { metrics } = review(code, 'javascript');
    expect(metrics).toMatchObject({ functions: 2, classes: 1, max_complexity: 6, deepest_nesting: 3, lines: 4 });
  });

  test('that cannot be parsed is told with the line, and has no score', () => {
    expect(review('const a = 1;\nconst = 2;', 'javascript')).toMatchObject({
      syntax_ok: false,
      syntax_error: { line: 2 },
      score: null,
    });
  });

  test('that is nested without end is refused', () =>
    expect(() => review('['.repeat(3_000) + ']'.repeat(3_000), 'javascript')).toThrow('nested too deeply'));
});

describe('TypeScript', () => {
  test('is parsed with its types, of which some are told', () => {
    const code = 'const a: any = 1;\n// @ts-ignore\nconst b = a!;\nconst c = a as unknown as string;';
    expect(rulesOf(code, 'typescript')).toEqual(
      expect.arrayContaining(['1 explicit-any', '2 ts-ignore', '3 non-null', '4 double-cast']),
    );
  });
  test('is known by its looks and by the name of its file', () => {
    expect(review('interface A { b: string }').language).toBe('typescript');
    expect(run({ code: 'go()', filename: 'a.mts' })).toMatchObject({ language: 'typescript' });
  });
});

describe('Python', () => {
  test.each([
    ['eval(x)', 'eval'],
    ['import os\nos.system(x)', 'os-system', 2],
    ['import subprocess\nsubprocess.run(x, shell=True)', 'shell-true', 2],
    ['import pickle\npickle.loads(x)', 'pickle', 2],
    ['import yaml\nyaml.load(x)', 'yaml-load', 2],
    ['cursor.execute(f"select * from users where id = {x}")', 'sql-injection'],
    ['cursor.execute("delete from users where id = %s" % x)', 'sql-injection'],
    ['password = "hunter22"', 'hard-coded-secret'],
    ['connect(password="hunter22")', 'hard-coded-secret'],
    ['requests.get(x, verify=False)', 'no-verify'],
    ['def f(a=[]):\n  return a', 'mutable-default'],
    ['try:\n  f()\nexcept:\n  g()', 'bare-except', 3],
    ['try:\n  f()\nexcept ValueError:\n  pass', 'dropped-error', 3],
    ['if x == None:\n  f()', 'compare-none'],
    ['if x is "a":\n  f()', 'is-literal'],
    ['assert (x, "must be")', 'assert-tuple'],
    ['def f():\n  return 1\n  g()', 'unreachable', 3],
    ['import os', 'unused-import'],
    ['from os import *', 'star-import'],
    ['x = {"a": 1, "a": 2}', 'duplicate-key'],
    ['x = f"nothing"', 'empty-f-string'],
  ])('%s is told as %s', (code, rule, line = 1) => expect(rulesOf(code, 'python')).toContain(`${line} ${rule}`));

  test.each([
    'cursor.execute("select * from users where id = %s", (x,))',
    'import subprocess\nsubprocess.run(["ls"])',
    'from a import b\n__all__ = ["b"]',
    'x = f"{y:>10}"',
    'def f(a=None):\n  return a',
  ])('of %s there is nothing to say', (code) => expect(rulesOf(code, 'python')).toEqual([]));

  test('is known by its looks, and measured', () => {
    const code = 'def f(a, b):\n    if a and b:\n        return a\n    elif b:\n        return b\n    return None\n';
    expect(review(code)).toMatchObject({
      language: 'python',
      metrics: { functions: 1, max_complexity: 4, deepest_nesting: 1, lines: 6 },
    });
  });

  test('that cannot be parsed is told with the line', () =>
    expect(review('x = 1\ndef f(:\n', 'python')).toMatchObject({ syntax_ok: false, syntax_error: { line: 2 } }));
  test('that is nested without end is refused, and nothing breaks', () =>
    expect(() => review('('.repeat(90) + '-'.repeat(90_000) + '1' + ')'.repeat(90), 'python')).toThrow());
});

test('what is no review is refused in words', () => {
  expect(() => run({ code: 1 })).toThrow('code must be a string');
  expect(() => run({})).toThrow('code is required');
  expect(() => run({ code: 'x', language: 'cobol' })).toThrow('language must be one of');
  expect(() => run({ code: 'x', filename: 'a.rb' })).toThrow('not reviewed');
});
