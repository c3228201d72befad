import { NotFoundError, Sandbox, SandboxError, type Execution } from '@e2b/code-interpreter';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MINUTE } from '../../src/kernel/time.ts';
import { startClient, type Client } from './client.ts';

let client: Client;
/** One that tests share; each uses contexts of its own, or leaves the others' alone. */
let sandbox: Sandbox;
const create = (options = {}): Promise<Sandbox> =>
  Sandbox.create({ ...client.access, timeoutMs: 5 * MINUTE, ...options });
beforeAll(async () => {
  client = await startClient();
  sandbox = await create({ envs: { COLOUR: 'blue' } });
});
afterAll(() => client?.stop());

const out = ({ logs }: Execution): string => logs.stdout.join('');
const err = ({ logs }: Execution): string => logs.stderr.join('');

describe('code', () => {
  test('of the default template runs in Python, remembers, and answers the value of its last expression', async () => {
    expect((await sandbox.getInfo()).templateId).toBe('code-interpreter-v1');
    expect((await sandbox.runCode('x = 20')).results).toEqual([]);
    const execution = await sandbox.runCode('x += 1; x * 2');
    expect(execution).toMatchObject({ text: '42', error: undefined, executionCount: 2 });
    expect(execution.results[0]).toMatchObject({ isMainResult: true, text: '42' });
  });

  test('tells what it and its children print as it comes, in order', async () => {
    const seen: string[] = [];
    let first = 0;
    const execution = await sandbox.runCode(
      'import subprocess, sys, time\nprint("one")\nsubprocess.run(["echo", "two"])\nprint("three", file=sys.stderr)\ntime.sleep(1)\nprint("four")',
      {
        onStdout: ({ line }) => {
          first ||= Date.now();
          seen.push(line);
        },
        onStderr: ({ line }) => void seen.push(line),
      },
    );
    expect(Date.now() - first).toBeGreaterThan(800);
    expect(out(execution)).toBe('one\ntwo\nfour\n');
    expect(err(execution)).toBe('three\n');
    expect(seen.at(-1)).toBe('four\n');
  });

  test('may print any text, however it is cut on its way', async () => {
    const { logs } = await sandbox.runCode('for i in range(20000): print("é😀漢" * 10)');
    const text = logs.stdout.join('');
    expect(text).toBe(`${'é😀漢'.repeat(10)}\n`.repeat(20_000));
    const long = 'é😀漢'.repeat(30_000);
    expect((await sandbox.runCode(`t = "${long}"; print(len(t), t[-3:])`)).logs.stdout.join('')).toBe('90000 é😀漢\n');
  });

  test('that fails tells the error, with the line, and what came before', async () => {
    let told: unknown;
    const execution = await sandbox.runCode('print("before")\ndef f():\n  return 1 / 0\nf()', {
      onError: (error) => void (told = error),
    });
    expect(execution.error).toMatchObject({ name: 'ZeroDivisionError', value: 'division by zero' });
    expect(execution.error?.traceback).toContain('return 1 / 0');
    expect(execution.error?.traceback).not.toContain('serve');
    expect(told).toEqual(execution.error);
    expect(out(execution)).toBe('before\n');
    expect((await sandbox.runCode('x = (')).error?.name).toBe('SyntaxError');
    expect((await sandbox.runCode('import sys; sys.exit("bye")')).error).toMatchObject({
      name: 'SystemExit',
      value: 'bye',
    });
  });

  test('shows rich results, of its last expression and of what it displays', async () => {
    const { results } = await sandbox.runCode(`
from IPython.display import display, HTML, Markdown, Image, SVG, Latex, JSON, Javascript
import base64
class Report:
    def __repr__(self): return 'a report'
    def _repr_mimebundle_(self, **_): return {'text/html': '<b>report</b>', 'application/pdf': b'%PDF'}
display(HTML('<p>'), Markdown('# m'), SVG('<svg/>'), Latex('$x$'), JSON({'a': [1]}), Javascript('go()'))
display(Image(data=base64.b64decode('iVBORw0KGgo=')))
display(Image(data=b'\\xff\\xd8\\xff'))
Report()`);
    const formats = results.map((result) => result.formats());
    expect(formats).toEqual([
      ['html'],
      ['markdown'],
      ['svg'],
      ['latex'],
      ['json'],
      ['javascript'],
      ['png'],
      ['jpeg'],
      ['html', 'pdf'],
    ]);
    expect(results[4]?.json).toEqual({ a: [1] });
    expect(results[6]?.png).toBe('iVBORw0KGgo=');
    expect(results.at(-1)).toMatchObject({
      text: 'a report',
      html: '<b>report</b>',
      pdf: 'JVBERg==',
      isMainResult: true,
    });
  });

  test('that draws has its figures shown', async () => {
    // No package index is asked in tests: this is the part of matplotlib's interface that kernels use.
    await sandbox.files.write('drawing/matplotlib/__init__.py', '');
    await sandbox.files.write(
      'drawing/matplotlib/pyplot.py',
      'import os\nopened = []\nclass Figure:\n  def savefig(self, file, **_): file.write(os.environ["MPLBACKEND"].encode())\n' +
        'def plot(*_): opened.append(Figure())\ndef get_fignums(): return [i + 1 for i in range(len(opened))]\n' +
        'def figure(n): return opened[n - 1]\ndef show(): pass\ndef close(_): opened.clear()\n',
    );
    const code =
      'import sys; sys.path.insert(0, "drawing")\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()';
    const { results, error } = await sandbox.runCode(code);
    expect(error).toBeUndefined();
    expect(results.map(({ png }) => png && Buffer.from(png, 'base64').toString())).toEqual(['Agg']);
    expect((await sandbox.runCode('1')).results).toHaveLength(1);
  });

  test('may await, call the shell and use the commonest magic', async () => {
    expect((await sandbox.runCode('import asyncio\nawait asyncio.sleep(0.01)\n"awaited"')).text).toBe("'awaited'");
    const shell = await sandbox.runCode('!echo hi; whoami\nnames = !echo a; echo b\nnames');
    expect(out(shell)).toBe('hi\nuser\n');
    expect(shell.text).toBe("['a', 'b']");
    expect(out(await sandbox.runCode('%%bash\necho $((6 * 7))'))).toBe('42\n');
    expect(out(await sandbox.runCode('%cd /tmp\n%pwd\n%cd'))).toBe('/tmp\n');
    expect((await sandbox.runCode('%nothing')).error?.value).toContain('%nothing');
  });

  test('finds the sandbox’s variables, and those of its execution until that is over', async () => {
    const code = 'import os; [os.environ.get(n) for n in ("COLOUR", "SHAPE", "HOME", "USER")] + [os.getcwd()]';
    const home = "'/home/user', 'user', '/home/user']";
    expect((await sandbox.runCode(code, { envs: { SHAPE: 'round' } })).text).toBe(`['blue', 'round', ${home}`);
    expect((await sandbox.runCode(code)).text).toBe(`['blue', None, ${home}`);
  });
});

describe('languages', () => {
  test('JavaScript keeps its names, awaits, imports and shows its last value', async () => {
    const run = (code: string) => sandbox.runCode(code, { language: 'javascript' });
    await run('const a = 20; let b = 1');
    expect((await run('const a = 41; a + b')).text).toBe('42');
    expect(
      (await run('import { sep } from "node:path"\nconst os = await import("node:os")\nsep + typeof os.EOL')).text,
    ).toBe("'/string'");
    const late = await run(
      'async function main() { await new Promise((f) => setTimeout(f, 50)); console.log("late"); return { a } }\nmain()',
    );
    expect([out(late), late.text]).toEqual(['late\n', '{ a: 41 }']);
    expect((await run('null.foo')).error).toMatchObject({
      name: 'TypeError',
      traceback: expect.stringContaining('TypeError'),
    });
    expect((await run('let x = ')).error?.name).toBe('SyntaxError');
    const flood = await run('for (let i = 0; i < 20000; i++) console.log("x".repeat(100))');
    expect(out(flood)).toHaveLength(20_000 * 101);
  });

  test('bash keeps its variables, functions and directory, and tells a status that is not 0', async () => {
    const run = (code: string, envs = {}) => sandbox.runCode(code, { language: 'bash', envs });
    await run('x=5; f() { echo "f $1"; }; cd /tmp');
    const second = await run('pwd; echo $x $SHAPE; f 1; whoami', { SHAPE: 'round' });
    expect([out(second), err(second), second.error]).toEqual(['/tmp\n5 round\nf 1\nuser\n', '', undefined]);
    expect((await run('echo "[$SHAPE]"')).logs.stdout.join('')).toBe('[]\n');
    expect((await run('false')).error).toMatchObject({ name: 'ExitStatus', value: 'exit status 1' });
  });

  test('that are not there are told as an error of the code', async () => {
    const { error } = await sandbox.runCode('1', { language: 'r' });
    expect(error).toMatchObject({ name: 'UnsupportedLanguage', value: expect.stringContaining('python') });
    await expect(sandbox.createCodeContext({ language: 'java' })).rejects.toBeInstanceOf(SandboxError);
  });
});

describe('an execution', () => {
  test.each([
    ['python', 'x = 7', 'import time\nwhile True: time.sleep(0.05)', 'x', '7'],
    ['python', 'y = 8', 'import subprocess\nsubprocess.run(["sleep", "100"])', 'y', '8'],
    ['javascript', 'const x = 7', 'while (true) {}', 'x', '7'],
    ['javascript', 'const y = 8', 'await new Promise(() => {})', 'y', '8'],
    ['bash', 'z=9', 'while true; do sleep 0.1; done', 'echo $z', '9\n'],
  ])(
    'that takes too long is interrupted, and its context lives on: %s, %#',
    async (language, before, forever, after, value) => {
      const context = await sandbox.createCodeContext({ language });
      await sandbox.runCode(before, { context });
      await expect(sandbox.runCode(forever, { context, timeoutMs: 1_000 })).rejects.toThrow(/timed out/);
      const next = await sandbox.runCode(after, { context, timeoutMs: 20_000 });
      expect(next.text ?? out(next)).toBe(value);
      expect(err(next)).toBe('');
      await sandbox.removeCodeContext(context);
    },
  );

  test('that goes on when interrupted is ended for the next one, which is told', { timeout: 60_000 }, async () => {
    const context = await sandbox.createCodeContext();
    const stubborn = 'import time\nwhile True:\n  try: time.sleep(1)\n  except BaseException: pass';
    await expect(sandbox.runCode(stubborn, { context, timeoutMs: 1_000 })).rejects.toThrow(/timed out/);
    const next = await sandbox.runCode('1 + 1', { context });
    expect(next.text).toBe('2');
    expect(err(next)).toContain('went on when it was interrupted');
    await sandbox.removeCodeContext(context);
  });

  test('waits for the one before it in its context, and each is told its own', async () => {
    const context = await sandbox.createCodeContext();
    const code = (name: string) =>
      `import time\nfor i in range(5):\n  print("${name}", i)\n  time.sleep(0.1)\n"${name}"`;
    const both = await Promise.all(['a', 'b'].map((name) => sandbox.runCode(code(name), { context })));
    for (const [index, name] of ['a', 'b'].entries()) {
      expect(both[index]?.text).toBe(`'${name}'`);
      expect(both[index] && out(both[index])).toBe([0, 1, 2, 3, 4].map((i) => `${name} ${i}\n`).join(''));
    }
    expect(new Set(both.map(({ executionCount }) => executionCount))).toEqual(new Set([1, 2]));
    await sandbox.removeCodeContext(context);
  });
});

describe('contexts', () => {
  test('are made, listed, restarted and removed, and know nothing of each other', async () => {
    await sandbox.files.makeDir('work');
    const context = await sandbox.createCodeContext({ cwd: '/home/user/work' });
    expect(context).toMatchObject({ language: 'python', cwd: '/home/user/work', id: expect.any(String) });
    expect((await sandbox.runCode('import os; secret = 1; os.getcwd()', { context })).text).toBe("'/home/user/work'");
    expect((await sandbox.runCode('secret')).error?.name).toBe('NameError');
    expect(await sandbox.listCodeContexts()).toContainEqual(context);
    await sandbox.restartCodeContext(context);
    const after = await sandbox.runCode('import os; "secret" in globals(), os.getcwd()', { context });
    expect([after.text, after.executionCount]).toEqual(["(False, '/home/user/work')", 1]);
    await sandbox.removeCodeContext(context);
    expect((await sandbox.listCodeContexts()).map(({ id }) => id)).not.toContain(context.id);
    await expect(sandbox.runCode('1', { context })).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.removeCodeContext(context)).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.restartCodeContext(context.id)).rejects.toBeInstanceOf(NotFoundError);
    await expect(sandbox.createCodeContext({ cwd: '/nowhere' })).rejects.toBeInstanceOf(SandboxError);
    await expect(sandbox.removeCodeContext('python-x; rm -rf')).rejects.toBeInstanceOf(NotFoundError);
  });

  test('are nobody’s commands', async () => {
    await sandbox.runCode('1');
    expect(await sandbox.commands.list()).toEqual([]);
  });

  test(
    'are not in a fork or a snapshot of their sandbox, which runs code all the same',
    { timeout: 60_000 },
    async () => {
      const source = await create();
      const context = await source.createCodeContext();
      await source.runCode('x = 5; open("kept.txt", "w").write("kept")', { context });
      const { snapshotId } = await source.createSnapshot();
      await source.kill();
      const copy = await create({ template: snapshotId });
      await expect(copy.runCode('x', { context })).rejects.toBeInstanceOf(NotFoundError);
      expect((await copy.runCode('open("kept.txt").read()')).text).toBe("'kept'");
      await copy.kill();
      await Sandbox.deleteSnapshot(snapshotId, client.access);
    },
  );

  test('outlive a memory pause of their sandbox, and not a start from its disk', { timeout: 60_000 }, async () => {
    const paused = await create();
    const context = await paused.createCodeContext();
    await paused.runCode('x = 5', { context });
    const slow = 'import time\nfor i in range(20): time.sleep(0.1)\ny = 6';
    const other = await paused.createCodeContext();
    const under = paused.runCode(slow, { context: other }).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await paused.pause();
    await expect(paused.runCode('x', { context })).rejects.toThrow(/sandbox timeout/);
    await paused.connect();
    expect((await paused.runCode('x', { context })).text).toBe('5');
    // What ran went on where it stopped.
    expect(await under).toMatchObject({ executionCount: 1, error: undefined });
    expect((await paused.runCode('y', { context: other })).text).toBe('6');
    await paused.pause({ keepMemory: false });
    await paused.connect();
    await expect(paused.runCode('x', { context })).rejects.toBeInstanceOf(NotFoundError);
    expect((await paused.runCode('1 + 1')).text).toBe('2');
    await paused.kill();
    await expect(paused.runCode('1')).rejects.toThrow(/sandbox timeout/);
  });
});
