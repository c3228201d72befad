import { parseArgs, type ParseArgsOptionDescriptor } from 'node:util';
import type { Command, Option, Options } from './command.ts';
import { WrongUsage } from './failure.ts';

/** Options that every command has. */
export const COMMON_OPTIONS = {
  url: { kind: 'text', value: 'URL', says: 'The server; else FREEHOLD_URL, else http://127.0.0.1:8080' },
  json: { kind: 'flag', says: "Print the server's reply as it is" },
  help: { kind: 'flag', says: 'Show this help' },
} as const satisfies Options;

/** What a command was given. Whatever is wrong about it is thrown as WrongUsage, in the reader that finds it. */
export type Arguments = {
  positional(name: string): string;
  text(option: string): string | undefined;
  required(option: string): string;
  /** A whole number of at least `least`. */
  count(option: string, least?: number): number | undefined;
  list(option: string): string[];
  flag(option: string): boolean | undefined;
};

/** Reads what stands behind the words of a command. */
export function readArguments(command: Command, args: string[]): Arguments {
  const { values, positionals } = parse(args, command);
  const names = command.positionals ?? [];
  const wrong = (what: string): WrongUsage => wrongUsage(what, command.name);
  const text = (option: string): string | undefined => {
    const value = values[option];
    return typeof value === 'string' ? value : undefined;
  };
  if (values['help'] !== true && positionals.length !== names.length) throw wrong(wordCount(names, positionals));
  return {
    positional: (name) => positionals[names.indexOf(name)] ?? '',
    text,
    required(option) {
      const value = text(option);
      if (!value) throw wrong(`--${option} is missing`);
      return value;
    },
    count(option, least = 1) {
      const value = text(option);
      return value === undefined ? undefined : wholeNumber(value, `--${option}`, least, command.name);
    },
    list: (option) => [values[option] ?? []].flat().flatMap((value) => String(value).split(',')),
    flag: (option) => (typeof values[option] === 'boolean' ? values[option] : undefined),
  };
}

function parse(args: string[], command: Command) {
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS });
  try {
    return parseArgs({
      args: args.map(markNegative),
      options: Object.fromEntries(options.map(([name, option]) => [name, descriptor(option)])),
      allowPositionals: true,
      allowNegative: true,
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw wrongUsage(error.message.split('. ')[0] ?? error.message, command.name);
  }
}

const descriptor = ({ kind }: Option): ParseArgsOptionDescriptor => ({
  type: kind === 'flag' ? 'boolean' : 'string',
  multiple: kind === 'list',
});

/** With a real minus sign, so that it is not read as an option: no option of ours is a digit. */
const markNegative = (arg: string): string => (/^-\d+$/.test(arg) ? `\u2212${arg.slice(1)}` : arg);

/** Reads a whole number that may be negative. Throws WrongUsage for anything else, and below `least`. */
export function wholeNumber(text: string, name: string, least: number, command: string): number {
  const number = /^[\u2212-]?\d{1,15}$/.test(text) ? Number(text.replace('\u2212', '-')) : Number.NaN;
  if (number >= least) return number;
  const bound = Number.isFinite(least) ? ` of at least ${least}` : '';
  throw wrongUsage(`${name} must be a whole number${bound}, and is "${text}"`, command);
}

function wordCount(wanted: string[], given: string[]): string {
  const missing = wanted.slice(given.length);
  if (missing.length > 0) return `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing`;
  return `"${given[wanted.length]}" is too much`;
}

const wrongUsage = (what: string, command: string): WrongUsage =>
  new WrongUsage(`${what}; see \`freehold ${command} --help\`.`);
