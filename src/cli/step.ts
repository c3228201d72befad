import { brief, finePrice, indent } from './layout.ts';
import { harmless, type Paint } from './terminal.ts';

/** A step of a task as the API shows it. */
export type Step = { number: number; state: 'started' | 'finished' | 'interrupted' } & (ModelStep | ToolStep);
type ModelStep = {
  kind: 'model';
  text: string | null;
  input_tokens: number | null;
  output_tokens: number | null;
  cost_microcents: number | null;
};
type ToolStep = { kind: 'tool'; tool: string; input: unknown; output: unknown; exit_code: number | null };

export type StepsPage = { steps: Step[]; has_more: boolean; next_cursor: number | null };

/** How much of a step's text is shown while a task is followed. */
const BRIEF_LINES = 12;
const BRIEF_COLUMNS = 160;
const NUMBER_WIDTH = 3;
const NAME_WIDTH = 12;

/** One line about the step and, below it, what was said or printed. */
export function presentStep(step: Step, paint: Paint, length: 'brief' | 'whole'): string {
  const name = step.kind === 'model' ? 'model' : harmless(step.tool);
  const remark = step.state === 'finished' ? remarkOn(step) : step.state;
  const head = `${String(step.number).padStart(NUMBER_WIDTH)}  ${paint('bold', name.padEnd(NAME_WIDTH))}  ${paint('dim', remark)}`;
  const body = bodyOf(step);
  if (body === '') return head.trimEnd();
  return `${head.trimEnd()}\n${indent(length === 'brief' ? shorten(body) : body, NUMBER_WIDTH + 2)}`;
}

/** A model that only calls a tool leaves nothing to read. */
export const saysAnything = (step: Step): boolean =>
  step.state === 'interrupted' || remarkOn(step) !== '' || bodyOf(step) !== '';

const bodyOf = (step: Step): string => harmless(step.kind === 'model' ? (step.text ?? '') : wordTool(step)).trim();

function remarkOn(step: Step): string {
  if (step.kind === 'tool') return step.exit_code === null ? '' : `exit code ${step.exit_code}`;
  const { input_tokens: input, output_tokens: output, cost_microcents: cost } = step;
  return cost ? `${input ?? 0} tokens in, ${output ?? 0} out, ${finePrice(cost)}` : '';
}

function wordTool({ input, output }: ToolStep): string {
  const command = textIn(input, 'command');
  const asked = command ? command.trim().replaceAll(/^/gm, '$ ') : textIn(input, 'path');
  return [asked, ...['stdout', 'stderr', 'note', 'error'].map((name) => textIn(output, name)?.trimEnd())]
    .filter(Boolean)
    .join('\n');
}

function textIn(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const found = (value as Record<string, unknown>)[name];
  return typeof found === 'string' ? found : undefined;
}

function shorten(text: string): string {
  const lines = text.split('\n').map((line) => (line.length > BRIEF_COLUMNS ? brief(line, BRIEF_COLUMNS) : line));
  if (lines.length <= BRIEF_LINES) return lines.join('\n');
  return [...lines.slice(0, BRIEF_LINES - 1), `… ${lines.length - BRIEF_LINES + 1} more lines`].join('\n');
}
