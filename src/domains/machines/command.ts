import { posix } from 'node:path';
import { AppError } from '../../kernel/errors.ts';
import { DAY } from '../../kernel/time.ts';
import type { Init } from './init/index.ts';
import { isBase } from './images/image.ts';
import { InitError } from './init/index.ts';
import type { Machine } from './machine.ts';
import type { Reached } from './reach.ts';
import type { MachinesWorld } from './world.ts';

/** What a command is, however it is run. */
export type Command = {
  /** Text is run by the shell; a list is a program and its arguments. */
  command: string | readonly string[];
  /** From the user's home directory where it is relative. */
  cwd?: string | undefined;
  env?: Readonly<Record<string, string>> | undefined;
  /** A user of the machine; `user` where it is not said. */
  user?: string | undefined;
};

export const DEFAULT_USER = 'user';
export const SHELL = '/bin/bash';
const MAX_TIMEOUT_MS = DAY;
/** The kernel takes no argument and no variable longer than 128 KiB. */
const MAX_ARGUMENT_BYTES = 130_000;
const MAX_ARGUMENTS = 1_000;
const MAX_VARIABLES = 1_000;
/** All arguments and variables together. */
const MAX_TOTAL_BYTES = 1_000_000;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
const USER = /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/;
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

type Home = { home: string; shell: string };
/** Those that the base image is built with; to look them up would cost each command one more round trip. */
const BASE_HOMES: Readonly<Record<string, Home>> = {
  user: { home: '/home/user', shell: SHELL },
  root: { home: '/root', shell: SHELL },
};
export const BASE_IMAGE = 'base';

/** The program and arguments of a command. Throws `invalid` where it cannot be one. */
export function argvOf({ command, env = {} }: Command): readonly string[] {
  const argv = typeof command === 'string' ? [SHELL, '-c', command] : command;
  if (argv.length === 0 || argv[0] === '' || command === '') throw new AppError('invalid', 'command is required');
  checkTexts(argv, env);
  return argv;
}

export function checkTimeout(timeoutMs: number): void {
  if (!(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) throw new AppError('invalid', 'timeout must be at most a day');
}

function checkTexts(argv: readonly string[], env: Readonly<Record<string, string>>): void {
  const variables = Object.entries(env);
  if (argv.length > MAX_ARGUMENTS || variables.length > MAX_VARIABLES)
    throw new AppError('invalid', 'command has too many parts');
  const strange = variables.find(([name]) => !VARIABLE.test(name));
  if (strange) throw new AppError('invalid', 'env names must be letters, digits and underscores');
  const texts = [...argv, ...variables.map(([name, value]) => `${name}=${value}`)];
  const sizes = texts.map((text) => Buffer.byteLength(text));
  if (texts.some((text) => text.includes('\0'))) throw new AppError('invalid', 'command must not contain NUL');
  if (Math.max(...sizes) > MAX_ARGUMENT_BYTES || sizes.reduce((sum, size) => sum + size, 0) > MAX_TOTAL_BYTES)
    throw new AppError('invalid', 'command is too long');
}

/** Where a command runs and what it finds around it. */
export async function surroundings(
  { machine, init }: Reached,
  { cwd = '.', env = {}, user = DEFAULT_USER }: Command,
): Promise<{ cwd: string; env: Record<string, string>; user: string }> {
  const { home, shell } = await homeOf(machine, init, user);
  const own = { HOME: home, USER: user, LOGNAME: user, SHELL: shell };
  return { cwd: pathFrom(home, cwd), env: { ...ENVIRONMENT, ...own, ...env }, user };
}

/** A command with the variables that its machine's image gives to all of them. */
export async function inImage<Of extends Command>(
  { environmentOf }: Pick<MachinesWorld, 'environmentOf'>,
  { image }: Pick<Machine, 'image'>,
  command: Of,
): Promise<Of> {
  if (isBase(image) || !environmentOf) return command;
  return { ...command, env: { ...(await environmentOf(image)), ...command.env } };
}

/** A path as the user's shell would take it. */
export async function pathOf({ machine, init }: Reached, user: string, path: string): Promise<string> {
  return posix.isAbsolute(path) ? pathFrom('/', path) : pathFrom((await homeOf(machine, init, user)).home, path);
}

async function homeOf(machine: Pick<Machine, 'image'>, init: Init, user: string): Promise<Home> {
  const known = isBase(machine.image) && Object.hasOwn(BASE_HOMES, user) ? BASE_HOMES[user] : undefined;
  return known ?? (await init.home(checkedUser(user)).catch(noSuchUser));
}

export function checkedUser(user: string): string {
  if (!USER.test(user)) throw new AppError('invalid', NO_SUCH_USER);
  return user;
}

export const NO_SUCH_USER = 'There is no such user in the machine.';

function noSuchUser(error: unknown): never {
  if (error instanceof InitError && error.errno === 'ENOENT')
    throw new AppError('invalid', NO_SUCH_USER, { cause: error });
  throw error;
}

function pathFrom(home: string, path: string): string {
  if (path.includes('\0')) throw new AppError('invalid', 'A path must not contain NUL.');
  return posix.isAbsolute(path) ? path : posix.join(home, path);
}
