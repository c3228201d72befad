import { z } from 'zod';
import type { ToolSpec } from '../models/index.ts';

/** The tools that every model has. What they do in the machine stands in `use-tool.ts`. */
export const MAX_COMMAND_LENGTH = 100_000;
export const MAX_PATH_LENGTH = 4_096;
export const MAX_FILE_BYTES = 1_000_000;
export const DEFAULT_COMMAND_SECONDS = 120;
export const MAX_COMMAND_SECONDS = 3_600;

const path = z
  .string()
  .min(1)
  .max(MAX_PATH_LENGTH)
  .describe('Path in the machine, absolute or from the home directory');

export const TOOL_INPUTS = {
  run_command: z.object({
    command: z.string().min(1).max(MAX_COMMAND_LENGTH).describe('Shell command or script'),
    cwd: path.optional().describe('Working directory; the home directory if left out'),
    timeout_seconds: z
      .int()
      .min(1)
      .max(MAX_COMMAND_SECONDS)
      .optional()
      .describe(`Seconds after which the command is killed; ${DEFAULT_COMMAND_SECONDS} if left out`),
  }),
  read_file: z.object({
    path,
    offset: z.int().min(0).optional().describe('First line to read, counted from 0'),
    limit: z.int().min(1).optional().describe('Number of lines to read'),
  }),
  write_file: z.object({ path, content: z.string().describe('The whole new content of the file') }),
  edit_file: z.object({
    path,
    old_text: z.string().min(1).describe('Text that occurs exactly once in the file'),
    new_text: z.string().describe('Text to put in its place'),
  }),
  list_files: z.object({ path }),
  finish: z.object({
    text: z.string().describe('The result, for the person or program that gave the task'),
    json: z.unknown().optional().describe('The result as a JSON value, where the task asks for data'),
    failure: z.string().min(1).optional().describe('Only if the task could not be done: why'),
  }),
} as const satisfies Record<string, z.ZodType>;

export type ToolName = keyof typeof TOOL_INPUTS;
export type ToolInput<Name extends ToolName> = z.output<(typeof TOOL_INPUTS)[Name]>;

const DESCRIPTIONS: Record<ToolName, string> = {
  run_command: 'Runs a shell command in the machine and returns its exit code and what it printed.',
  read_file: 'Reads a text file.',
  write_file: 'Creates a file, with its folders, or replaces it.',
  edit_file: 'Replaces a piece of text in a file. Fails unless the old text occurs exactly once.',
  list_files: 'Lists a folder.',
  finish: 'Ends the task with its result. Call it once, when everything is done.',
};

export const isToolName = (name: string): name is ToolName => Object.hasOwn(TOOL_INPUTS, name);

export const TOOLS: readonly ToolSpec[] = Object.entries(TOOL_INPUTS).map(([name, input]) => ({
  name,
  description: isToolName(name) ? DESCRIPTIONS[name] : '',
  input,
}));

/** What is wrong with a tool's input, worded for the model that gave it. */
export const wordProblems = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || 'input'}: ${issue.message}`).join('; ');
