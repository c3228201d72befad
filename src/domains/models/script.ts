import { outputsIn, textOf, type AssistantMessage, type Json, type Message, type ToolCall } from './message.ts';

/**
 * The model without a provider. It reads the fenced shell blocks of the prompt and lets the machine run them, one tool
 * call a turn, by the same tools that every model has:
 *
 * - a block marked `sh`, `bash`, `shell` or not at all goes to the machine's shell, which is bash;
 * - each block is a process of its own: files last, variables and the working directory do not;
 * - the first block that fails ends the task as failed, with the output so far;
 * - a prompt that names `/tmp/result.json` has that file read at the end and returned as the JSON result.
 */
export const RESULT_FILE = '/tmp/result.json';
const LANGUAGES = new Set(['', 'sh', 'shell', 'bash']);
/** Seconds that one block may take; the task's own timeout ends it earlier. */
const BLOCK_TIMEOUT_SECONDS = 3600;
/** Results nested deeper are none: the database gives up in the depths, and so do many who would read them. */
const MAX_RESULT_DEPTH = 500;
/** Each part can match in one way only: the prompt is a stranger's, and so are its longest lines. */
const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;

export type Block = { language: string; code: string };
export type Turn = {
  message: AssistantMessage;
  toolCalls: ToolCall[];
  /** What the blocks have printed so far: what is left where the task does not come to its end. */
  text: string;
};

/** The fenced shell blocks of a Markdown text (CommonMark §4.5), in order. */
export function shellBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; lines: string[] } | undefined;
  for (const line of markdown.split(/\r?\n/)) {
    if (open) {
      if (closes(open.fence, line)) {
        blocks.push(blockOf(open));
        open = undefined;
      } else open.lines.push(line);
      continue;
    }
    const [, fence, info = ''] = FENCE.exec(line) ?? [];
    if (fence) open = { fence, language: languageOf(info), lines: [] };
  }
  if (open) blocks.push(blockOf(open));
  return blocks.filter((block) => LANGUAGES.has(block.language) && block.code.trim() !== '');
}

const languageOf = (info: string): string => info.trim().split(/\s/, 1).join('').toLowerCase();

function closes(fence: string, line: string): boolean {
  const text = line.trim();
  return text.length >= fence.length && text === fence.charAt(0).repeat(text.length) && !line.startsWith('    ');
}

const blockOf = (open: { language: string; lines: string[] }): Block => ({
  language: open.language,
  code: open.lines.join('\n'),
});

type Ran = { exit_code: number | null; stdout: string; stderr: string; note: string; error: string };

/** The next turn: a block, the result file, or the end. Only what the messages hold decides it. */
export function nextTurn(messages: readonly Message[]): Turn {
  const [first] = messages;
  const prompt = first ? textOf(first) : '';
  const blocks = shellBlocks(prompt);
  const outputs = outputsIn(messages);
  const runs = outputs.slice(0, blocks.length).map(ranOf);
  if (blocks.length === 0)
    return finish({
      text: '',
      failure: 'The prompt has no fenced shell block, and the script model runs nothing else',
    });
  const text = told(runs);
  const last = runs.at(-1);
  if (last && last.exit_code !== 0) return finish({ text, failure: failureOf(runs.length, blocks.length, last) });
  const next = blocks[runs.length];
  if (next)
    return call(
      `block_${runs.length + 1}`,
      'run_command',
      { command: next.code, timeout_seconds: BLOCK_TIMEOUT_SECONDS },
      text,
    );
  if (!prompt.includes(RESULT_FILE)) return finish({ text });
  const file = outputs[blocks.length];
  if (file === undefined) return call('result_file', 'read_file', { path: RESULT_FILE }, text);
  return finish({ text, ...jsonIn(file) });
}

/** What the blocks printed. The errors of a block are part of the story only where it failed. */
const told = (runs: readonly Ran[]): string =>
  runs
    .map((run) => (run.exit_code === 0 ? run.stdout : `${run.stdout}${run.stderr}`))
    .join('')
    .trimEnd();

function failureOf(block: number, blocks: number, { exit_code, note, error }: Ran): string {
  const which = blocks === 1 ? 'The shell block' : `Shell block ${block} of ${blocks}`;
  if (error) return `${which} could not be run: ${error}`;
  return exit_code === null
    ? `${which} did not end by itself: ${note || 'no exit code'}`
    : `${which} ended with exit code ${exit_code}`;
}

function ranOf(output: Json): Ran {
  const fields = isRecord(output) ? output : {};
  const text = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '');
  const exit_code = typeof fields['exit_code'] === 'number' ? fields['exit_code'] : null;
  return { exit_code, stdout: text('stdout'), stderr: text('stderr'), note: text('note'), error: text('error') };
}

/** The result file's content as the JSON result; a file that is not there, not JSON or nested too deep gives none. */
function jsonIn(output: Json): { json?: Json } {
  const content = isRecord(output) ? output['content'] : undefined;
  if (typeof content !== 'string') return {};
  try {
    const json = JSON.parse(content) as Json;
    return isShallow(json) ? { json } : {};
  } catch {
    return {};
  }
}

/** Whether JSON can be kept. Walks without recursion, which would give up in the depths as well. */
function isShallow(json: Json): boolean {
  const pending: { value: unknown; depth: number }[] = [{ value: json, depth: 0 }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { value, depth } = next;
    if (typeof value !== 'object' || value === null) continue;
    if (depth === MAX_RESULT_DEPTH) return false;
    for (const child of Object.values(value)) pending.push({ value: child, depth: depth + 1 });
  }
  return true;
}

const isRecord = (value: Json): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const finish = (input: { text: string; json?: Json; failure?: string }): Turn =>
  call('finish', 'finish', input, input.text);

function call(id: string, name: string, input: Record<string, Json>, text: string): Turn {
  return {
    message: { role: 'assistant', content: [{ type: 'tool-call', toolCallId: id, toolName: name, input }] },
    toolCalls: [{ id, name, input }],
    text,
  };
}
