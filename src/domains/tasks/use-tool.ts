import { isAppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { SECOND } from '../../kernel/time.ts';
import type { Machines } from '../machines/index.ts';
import type { Json, ToolCall } from '../models/index.ts';
import { headAndTail } from './output.ts';
import {
  DEFAULT_COMMAND_SECONDS,
  isToolName,
  MAX_FILE_BYTES,
  TOOL_INPUTS,
  wordProblems,
  type ToolInput,
} from './tools.ts';

/** What came of a tool: an answer for the model (also that it could not be done), or the end of the machine. */
export type ToolOutcome = Answer | { kind: 'machine_lost' } | { kind: 'aborted' };
export type Answer = { kind: 'answered'; output: Json; exitCode?: number };

/** Bytes of each stream of a command that are kept, half from the beginning and half from the end. */
const MAX_STREAM_BYTES = 65_536;
const MAX_READ_CHARACTERS = 262_144;
const MAX_LISTED = 1_000;

export type Bench = {
  machines: Machines;
  machineId: MachineId;
  op: Op;
  /** Takes how to look at what a command has printed so far. */
  watch: (look: () => Json) => void;
};

/** The answer to a call that needs no machine: the end of the task, and calls that make no sense. */
export function answerAtOnce(call: ToolCall): Answer | undefined {
  if (!isToolName(call.name)) return refused(`There is no tool ${call.name}`);
  const input = TOOL_INPUTS[call.name].safeParse(call.input);
  if (!input.success) return refused(wordProblems(input.error));
  return call.name === 'finish' ? answered({ ended: true }) : undefined;
}

/** Uses a tool in the machine. What the model did wrong is an answer to it, never an exception. */
export async function useTool(bench: Bench, call: ToolCall): Promise<ToolOutcome> {
  try {
    return await dispatch(bench, call);
  } catch (error) {
    if (bench.op.signal.aborted) return { kind: 'aborted' };
    if (isAppError(error, 'conflict') && (await isGone(bench))) return { kind: 'machine_lost' };
    if (isAppError(error)) return refused(error.message);
    throw error;
  }
}

function dispatch(bench: Bench, { name, input }: ToolCall): Promise<ToolOutcome> {
  switch (name) {
    case 'run_command':
      return runCommand(bench, TOOL_INPUTS.run_command.parse(input));
    case 'read_file':
      return readFile(bench, TOOL_INPUTS.read_file.parse(input));
    case 'write_file':
      return writeFile(bench, TOOL_INPUTS.write_file.parse(input));
    case 'edit_file':
      return editFile(bench, TOOL_INPUTS.edit_file.parse(input));
    case 'list_files':
      return listFiles(bench, TOOL_INPUTS.list_files.parse(input));
    default:
      throw new Error(`${name} is not done in a machine`);
  }
}

const answered = (output: Json): Answer => ({ kind: 'answered', output });
const refused = (error: string): Answer => answered({ error });

async function runCommand(
  { machines, machineId, op, watch }: Bench,
  input: ToolInput<'run_command'>,
): Promise<ToolOutcome> {
  const seconds = input.timeout_seconds ?? DEFAULT_COMMAND_SECONDS;
  const streams = { stdout: headAndTail(MAX_STREAM_BYTES), stderr: headAndTail(MAX_STREAM_BYTES) };
  const printed = () => ({ stdout: streams.stdout.text(), stderr: streams.stderr.text() });
  watch(() => ({ exit_code: null, ...printed(), note: 'The command had not ended yet.' }));
  const outcome = await machines.exec(op, machineId, {
    command: input.command,
    cwd: input.cwd,
    timeoutMs: seconds * SECOND,
    maxOutputBytes: 0,
    onOutput: (stream, chunk) => streams[stream].add(chunk),
  });
  if (outcome.kind === 'lost') return { kind: 'machine_lost' };
  if (outcome.kind === 'aborted') return outcome;
  if (outcome.kind === 'timeout')
    return answered({ exit_code: null, ...printed(), note: `killed after ${seconds} seconds` });
  return { kind: 'answered', output: { exit_code: outcome.exitCode, ...printed() }, exitCode: outcome.exitCode };
}

async function readFile(bench: Bench, { path, offset = 0, limit }: ToolInput<'read_file'>): Promise<Answer> {
  const text = await readText(bench, path);
  if (text === undefined) return refused(`${path} is not a text file; look at it with run_command`);
  const lines = text.split('\n');
  const content = lines.slice(offset, limit && offset + limit).join('\n');
  if (content.length <= MAX_READ_CHARACTERS) return answered({ content });
  const note = `cut off; the file has ${lines.length} lines: read on with offset`;
  return answered({ content: content.slice(0, MAX_READ_CHARACTERS).toWellFormed(), note });
}

async function writeFile(bench: Bench, { path, content }: ToolInput<'write_file'>): Promise<Answer> {
  const bytes = Buffer.byteLength(content);
  if (bytes > MAX_FILE_BYTES) return refused(`content has more than ${MAX_FILE_BYTES} bytes`);
  await bench.machines.writeFile(bench.op, bench.machineId, path, content);
  return answered({ written_bytes: bytes });
}

async function editFile(bench: Bench, { path, old_text, new_text }: ToolInput<'edit_file'>): Promise<Answer> {
  const text = await readText(bench, path);
  if (text === undefined) return refused(`${path} is not a text file`);
  const found = text.split(old_text).length - 1;
  if (found !== 1) return refused(`old_text occurs ${found} times in ${path}; it must occur exactly once`);
  await bench.machines.writeFile(
    bench.op,
    bench.machineId,
    path,
    text.replace(old_text, () => new_text),
  );
  return answered({ edited: path });
}

async function listFiles({ machines, machineId, op }: Bench, { path }: ToolInput<'list_files'>): Promise<Answer> {
  const { entries, truncated } = await machines.listFiles(op, machineId, path);
  const listed = entries.slice(0, MAX_LISTED).map(({ name, kind, size }) => ({ name, kind, size }));
  const isCut = truncated || entries.length > MAX_LISTED;
  return answered({ entries: listed, ...(isCut && { note: `only the first ${listed.length} are shown` }) });
}

/** A file's text, or undefined where it is not UTF-8. */
async function readText({ machines, machineId, op }: Bench, path: string): Promise<string | undefined> {
  const bytes = await machines.readFile(op, machineId, path, { maxBytes: MAX_FILE_BYTES });
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

/** Whether the machine itself is what failed. */
async function isGone({ machines, machineId, op }: Bench): Promise<boolean> {
  return (await machines.exec(op, machineId, { command: ['/bin/true'] })).kind === 'lost';
}
