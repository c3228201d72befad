import { describe, expect, test } from 'vitest';
import { toolResults, userMessage, type Json, type Message } from './message.ts';
import { nextTurn, shellBlocks, type Turn } from './script.ts';

const FENCE = '```';
const block = (code: string, language = 'sh') => `${FENCE}${language}\n${code}\n${FENCE}`;

/** Plays the task loop: hands the script's calls to `answer` until it finishes. */
function play(
  prompt: string,
  answer: (name: string, input: Record<string, string>) => Json,
): { calls: string[]; end: Turn['toolCalls'][number] } {
  const messages: Message[] = [userMessage(prompt)];
  const calls: string[] = [];
  for (;;) {
    const turn = nextTurn(messages);
    const [call] = turn.toolCalls;
    if (!call) throw new Error('a turn without a call');
    if (call.name === 'finish') return { calls, end: call };
    const input = call.input as Record<string, string>;
    calls.push(input['command'] ?? input['path'] ?? '');
    messages.push(turn.message, toolResults([{ callId: call.id, name: call.name, output: answer(call.name, input) }]));
  }
}

const printed = (stdout: string, exit_code: number | null = 0, more: Record<string, Json> = {}): Json => ({
  exit_code,
  stdout,
  stderr: '',
  ...more,
});

describe('shell blocks', () => {
  test('sh, bash, shell and unmarked fences are run, others are not', () => {
    const markdown = [
      block('one'),
      block('two', 'bash'),
      block('three', 'shell'),
      block('four', ''),
      block('five', 'python'),
      block('six', 'json'),
    ].join('\n\n');
    expect(shellBlocks(markdown).map(({ code }) => code)).toEqual(['one', 'two', 'three', 'four']);
  });

  test('a longer fence holds a shorter one, and tildes are fences too', () => {
    expect(shellBlocks(`~~~~sh\ncat <<'E'\n${FENCE}\nE\n~~~~`)).toEqual([
      { language: 'sh', code: `cat <<'E'\n${FENCE}\nE` },
    ]);
  });

  test('a fence that is never closed reaches to the end', () => {
    expect(shellBlocks(`run\n${FENCE}sh\necho 1\necho 2`)).toEqual([{ language: 'sh', code: 'echo 1\necho 2' }]);
  });

  test('what follows the language in the line of a fence is no part of it', () => {
    expect(shellBlocks(`${FENCE} \tBash title="x"\necho 1\n${FENCE}`)).toEqual([{ language: 'bash', code: 'echo 1' }]);
  });

  test('a very long line that is almost a fence holds up nobody', () => {
    const startedAt = performance.now();
    for (const filling of ['a', '\t', '`', '~'])
      for (const fence of [FENCE, '~~~']) expect(shellBlocks(`${fence}${filling.repeat(49_000)}x\``)).toEqual([]);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  test('inline code, empty blocks and CRLF make no trouble', () => {
    expect(shellBlocks('say ```echo no``` aloud')).toEqual([]);
    expect(shellBlocks(block('  '))).toEqual([]);
    expect(shellBlocks(`${FENCE}sh\r\necho 1\r\n${FENCE}\r\n`)).toEqual([{ language: 'sh', code: 'echo 1' }]);
  });
});

describe('the script model', () => {
  test('runs block after block and returns what they printed', () => {
    const { calls, end } = play(`${block('echo a')}\n${block('echo b')}`, (_name, input) =>
      printed(`${input['command']?.slice(-1)}\n`),
    );
    expect(calls).toEqual(['echo a', 'echo b']);
    expect(end.input).toEqual({ text: 'a\nb' });
  });

  test('the first failing block ends it, with its output and errors kept', () => {
    const { calls, end } = play(`${block('true')}\n${block('boom')}\n${block('never')}`, (_name, input) =>
      input['command'] === 'boom'
        ? printed('half\n', 7, { stderr: 'broken\n' })
        : printed('fine\n', 0, { stderr: 'noise\n' }),
    );
    expect(calls).toEqual(['true', 'boom']);
    expect(end.input).toEqual({ text: 'fine\nhalf\nbroken', failure: 'Shell block 2 of 3 ended with exit code 7' });
  });

  test('a block whose end is unknown fails honestly', () => {
    const { end } = play(block('sleep'), () => printed('some', null, { note: 'the server restarted' }));
    expect(end.input).toEqual({ text: 'some', failure: 'The shell block did not end by itself: the server restarted' });
  });

  test('a block that cannot be run at all fails with the reason', () => {
    const { end } = play(block('x'), () => ({ error: 'command is too long' }));
    expect(end.input).toEqual({ text: '', failure: 'The shell block could not be run: command is too long' });
  });

  test('a prompt without a block fails with a reason', () => {
    expect(play('Please do something useful', () => null).end.input).toMatchObject({
      failure: expect.stringContaining('no fenced shell block'),
    });
  });

  test('the result file is read only where the prompt names it, and only JSON counts', () => {
    const prompt = block(`echo '{"a":1}' > /tmp/result.json`);
    const run = (content: Json) => play(prompt, (name) => (name === 'read_file' ? content : printed('ok')));
    expect(run({ content: '{"a":1}' }).end.input).toEqual({ text: 'ok', json: { a: 1 } });
    expect(run({ content: 'not json' }).end.input).toEqual({ text: 'ok' });
    expect(run({ error: 'No such file' }).end.input).toEqual({ text: 'ok' });
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(run({ content: nested(500) }).end.input).toHaveProperty('json');
    expect(run({ content: nested(501) }).end.input).toEqual({ text: 'ok' });
    expect(run({ content: nested(100_000) }).end.input).toEqual({ text: 'ok' });
  });
});
