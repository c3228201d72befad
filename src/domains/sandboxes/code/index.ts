import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import {
  createContext,
  listContexts,
  removeContext,
  restartContext,
  type CodeContext,
  type CodeMachines,
  type CodePlace,
  type NewContext,
} from './contexts.ts';
import { execute, type Cell, type Execution, type Holding } from './execution.ts';

export { defaultId, type CodeContext, type CodePlace } from './contexts.ts';
export type { Cell, Execution, ExecutionNews } from './execution.ts';
export { DEFAULT_LANGUAGE, languageNamed, type Language } from './kernels.ts';

/** At which the server itself answers for sandboxes that run code. */
export const INTERPRETER_PORT = 49_999;

/** Code in contexts that remember. Each verb throws `conflict` where the machine does not run. */
export type Interpreter = {
  contexts(op: Op, machineId: MachineId): Promise<CodeContext[]>;
  create(op: Op, place: CodePlace, context: NewContext): Promise<CodeContext>;
  restart(op: Op, place: CodePlace, id: string): Promise<void>;
  remove(op: Op, machineId: MachineId, id: string): Promise<void>;
  execute(op: Op, place: CodePlace, cell: Cell, holding?: Holding): Promise<Execution>;
};

export const createInterpreter = (machines: CodeMachines): Interpreter => ({
  contexts: (op, machineId) => listContexts(machines, op, machineId),
  create: (op, place, context) => createContext(machines, op, place, context),
  restart: (op, place, id) => restartContext(machines, op, place, id),
  remove: async (op, machineId, id) => void (await removeContext(machines, op, machineId, id)),
  execute: (op, place, cell, holding) => execute(machines, op, place, cell, holding),
});
