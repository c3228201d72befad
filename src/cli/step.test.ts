import { describe, expect, test } from 'vitest';
import { presentStep, saysAnything, type Step } from './step.ts';

const plain = (_style: unknown, text: string): string => text;
const shell = (stdout: string, more: Partial<Step> = {}): Step => ({
  number: 7,
  state: 'finished',
  kind: 'tool',
  tool: 'run_command',
  input: { command: 'one\ntwo' },
  output: { stdout, stderr: 'oh\n' },
  exit_code: 3,
  ...(more as object),
});
const model = (text: string | null, cost: number): Step => ({
  number: 12,
  state: 'finished',
  kind: 'model',
  text,
  input_tokens: 1_200,
  output_tokens: 34,
  cost_microcents: cost,
});

describe('a step is shown', () => {
  test('with the command, what it printed and how it ended', () => {
    expect(presentStep(shell('fine\n'), plain, 'whole')).toBe(
      ['  7  run_command   exit code 3', '     $ one', '     $ two', '     fine', '     oh'].join('\n'),
    );
  });

  test('with what the model said, and its price', () => {
    expect(presentStep(model('I will count.', 4_200), plain, 'whole')).toBe(
      ' 12  model         1200 tokens in, 34 out, $0.004200\n     I will count.',
    );
  });

  test('with the path of a file', () => {
    const step = shell('', { tool: 'write_file', input: { path: 'a.txt', content: 'x' }, output: {}, exit_code: null });
    expect(presentStep(step, plain, 'whole')).toBe('  7  write_file\n     a.txt');
  });

  test('whatever the shape of its input and output', () => {
    const step = shell('', { input: null, output: 'text', exit_code: null, state: 'interrupted' });
    expect(presentStep(step, plain, 'whole')).toBe('  7  run_command   interrupted');
  });

  test('without what could steer the terminal', () => {
    const shown = presentStep(shell('\u001b]0;title\u0007\u001b[31mred\u009b2J\rdone\b\n'), plain, 'whole');
    expect(shown).toContain('     red');
    expect(shown).toContain('     done\n');
    expect(shown).not.toMatch(/[^\P{Cc}\n]/u);
  });

  test('shortened while the task is followed, and whole otherwise', () => {
    const long = shell(`${'x'.repeat(300)}\n${'y\n'.repeat(100)}`);
    const lines = presentStep(long, plain, 'brief').split('\n');
    expect(lines).toHaveLength(13);
    expect(lines.at(-1)).toBe('     … 93 more lines');
    expect(Math.max(...lines.map((line) => line.length))).toBe(165);
    expect(presentStep(long, plain, 'whole').split('\n')).toHaveLength(105);
  });
});

test('a model that only called a tool for nothing says nothing', () => {
  expect(saysAnything(model(null, 0))).toBe(false);
  expect(saysAnything(model('', 1))).toBe(true);
  expect(saysAnything(shell(''))).toBe(true);
});
