import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { AppError, isAppError } from '../../../kernel/errors.ts';
import type { MachineId } from '../../../kernel/ids.ts';
import type { Op } from '../../../kernel/op.ts';
import { CODE_TAG, type Machines, type RunStream } from '../../machines/index.ts';
import { contextCommand, DEFAULT_LANGUAGE, HOME, isLanguage, KERNEL_ENV, type Language } from './kernels.ts';

/**
 * Where code runs and what it did stays: a process in the machine, which goes on whatever becomes of the server. All
 * that is known of it is its run there: the tag has its id, which begins with its language.
 */
export type CodeContext = { id: string; language: Language; cwd: string };

export type CodeMachines = Pick<Machines, 'attach' | 'inputRun' | 'run' | 'runs' | 'signalRun'>;

/** The machine that code runs in, and the variables that all of it finds. */
export type CodePlace = { machineId: MachineId; env: Readonly<Record<string, string>> };

/** Of one machine; each is one or two processes of tens of megabytes. */
const MAX_CONTEXTS = 32;
const SUFFIX_BYTES = 8;
const DEFAULT_SUFFIX = 'default';
const ID = /^([a-z]+)-(?:default|[0-9a-f]{16})$/;
const SIGKILL = 9;

export const tagOf = (id: string): string => CODE_TAG + id;
export const defaultId = (language: Language): string => `${language}-${DEFAULT_SUFFIX}`;
const isDefault = (id: string): boolean => id.endsWith(`-${DEFAULT_SUFFIX}`);
export const noContext = (id: string): AppError => new AppError('not_found', `Context ${id.slice(0, 100)} not found`);

/** The language that an id begins with. Throws `not_found` where no context has such an id. */
export function languageOf(id: string): Language {
  const language = ID.exec(id)?.[1];
  if (language === undefined || !isLanguage(language)) throw noContext(id);
  return language;
}

/** Contexts of the machine, the oldest first. */
export async function listContexts(machines: CodeMachines, op: Op, machineId: MachineId): Promise<CodeContext[]> {
  const found = (await machines.runs(op, machineId)).flatMap(({ tag, cwd }): CodeContext[] => {
    const id = tag?.startsWith(CODE_TAG) ? tag.slice(CODE_TAG.length) : '';
    const language = ID.exec(id)?.[1];
    return language !== undefined && isLanguage(language) ? [{ id, language, cwd }] : [];
  });
  return found.toReversed();
}

export type NewContext = { language?: Language | undefined; cwd?: string | undefined };

/** Throws `invalid` where its directory is not there, `rate_limited` where there are too many. */
export async function createContext(
  machines: CodeMachines,
  op: Op,
  place: CodePlace,
  { language = DEFAULT_LANGUAGE, cwd = HOME }: NewContext,
): Promise<CodeContext> {
  if ((await listContexts(machines, op, place.machineId)).length >= MAX_CONTEXTS)
    throw new AppError('rate_limited', `A sandbox has at most ${MAX_CONTEXTS} contexts`);
  const id = `${language}-${randomBytes(SUFFIX_BYTES).toString('hex')}`;
  const context = { id, language, cwd: posix.resolve(HOME, cwd) };
  await start(machines, op, place, context);
  return context;
}

async function start(machines: CodeMachines, op: Op, place: CodePlace, context: CodeContext): Promise<void> {
  const run = await machines.run(op, place.machineId, {
    command: await contextCommand(context.language),
    cwd: context.cwd,
    env: { ...KERNEL_ENV, ...place.env },
    user: 'root',
    stdin: true,
    tag: tagOf(context.id),
    onDisconnect: 'keep',
  });
  run.close();
}

/**
 * What a context tells from now on, once `ask` has asked something of it. One of those that are there by themselves
 * begins at its first use. Throws `not_found` where there is none.
 */
export async function joinContext(
  machines: CodeMachines,
  op: Op,
  place: CodePlace,
  id: string,
  ask: () => Promise<void>,
): Promise<RunStream> {
  const language = languageOf(id);
  // What has ended may still be joined, but takes no questions.
  const join = async (): Promise<RunStream | undefined> => {
    const run = await machines.attach(op, place.machineId, { tag: tagOf(id) }).catch(unlessMissing);
    try {
      if (run) await ask();
      return run;
    } catch (error) {
      run?.close();
      return unlessMissing(error);
    }
  };
  const joined = await join();
  if (joined) return joined;
  if (!isDefault(id)) throw noContext(id);
  // Of two that begin it at once, one does; the other finds it there.
  const [started] = await Promise.allSettled([start(machines, op, place, { id, language, cwd: HOME })]);
  const begun = await join();
  if (begun) return begun;
  const cause: unknown = started.status === 'rejected' ? started.reason : undefined;
  throw cause instanceof AppError ? cause : new AppError('conflict', `Context ${id} ended as it began`, { cause });
}

function unlessMissing(error: unknown): undefined {
  if (!isAppError(error, 'not_found')) throw error;
}

/** Ends it and all that it started. Throws `not_found`. */
export async function removeContext(
  machines: CodeMachines,
  op: Op,
  machineId: MachineId,
  id: string,
): Promise<CodeContext> {
  const context = (await listContexts(machines, op, machineId)).find((each) => each.id === id);
  if (!context) throw noContext(id);
  const selector = { tag: tagOf(id) };
  const run = await machines.attach(op, machineId, selector);
  try {
    await machines.signalRun(op, machineId, selector, SIGKILL);
    for await (const event of run) if (event.kind === 'exit') break;
  } finally {
    run.close();
  }
  return context;
}

/** The same context with nothing in it, at once. */
export async function restartContext(machines: CodeMachines, op: Op, place: CodePlace, id: string): Promise<void> {
  await start(machines, op, place, await removeContext(machines, op, place.machineId, id));
}
