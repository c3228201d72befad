import type { Command } from '../command.ts';
import { accountCommands } from './account.ts';
import { adminCommands } from './admin.ts';
import { datasetCommands } from './datasets.ts';
import { evaluate } from './eval.ts';
import { keyCommands } from './keys.ts';
import { register } from './register.ts';
import { runTask } from './run-task.ts';
import { sessionExec } from './session-exec.ts';
import { taskCommands } from './tasks.ts';

/** Every command, in the order of the help. */
export const COMMANDS: Command[] = [
  register,
  ...accountCommands,
  runTask,
  ...taskCommands,
  ...keyCommands,
  ...datasetCommands,
  evaluate,
  sessionExec,
  ...adminCommands,
];
