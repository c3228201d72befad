import { COMMON_OPTIONS } from './arguments.ts';
import type { Command, Options } from './command.ts';
import { indent } from './layout.ts';

const INTRODUCTION = `Freehold's command line, for agents and operators.

Usage: freehold COMMAND [OPTIONS]`;

const SERVER_COMMANDS: [string, string][] = [['start', 'Run a server here; the others are its clients']];

export const START_HELP = `Usage: freehold start

Run a server here. It brings what it needs where that is missing, prints the admin key when it first starts, and
ends with SIGTERM or Ctrl-C. Its settings are environment variables; .env.example has all of them, with a sentence each.`;

const ENVIRONMENT: [string, string][] = [
  ['FREEHOLD_URL', 'The server; http://127.0.0.1:8080 where it is not set'],
  ['FREEHOLD_API_KEY', 'The key of an account, instead of the one that register has kept'],
  ['FREEHOLD_ADMIN_KEY', "The server's own key, for the admin commands (admin.key in its data directory)"],
  ['NO_COLOR', 'No colours'],
];

const GROUPS: { title: string; has: (name: string) => boolean }[] = [
  { title: 'Account', has: (name) => !/^(task|keys|admin|datasets|session) |^eval$/.test(name) },
  { title: 'Tasks', has: (name) => name.startsWith('task ') },
  { title: 'Keys', has: (name) => name.startsWith('keys ') },
  { title: 'Environments', has: (name) => /^(datasets|session) |^eval$/.test(name) },
  { title: 'Operator', has: (name) => name.startsWith('admin ') },
];

export function generalHelp(commands: Command[]): string {
  const groups = GROUPS.map(({ title, has }): [string, [string, string][]] => [
    title,
    commands.filter(({ name }) => has(name)).map((command) => [synopsis(command), command.summary]),
  ]);
  const sections: [string, [string, string][]][] = [
    ['Server', SERVER_COMMANDS],
    ...groups,
    ['Options of every command', [...optionRows(COMMON_OPTIONS), ['--version', 'Show the version']]],
    ['Environment', ENVIRONMENT],
  ];
  const width = widest(sections.flatMap(([, rows]) => rows));
  const shown = sections.map(([title, rows]) => `${title}\n${listing(rows, width)}`);
  return [INTRODUCTION, ...shown, 'More about one of them: freehold COMMAND --help'].join('\n\n');
}

export function commandHelp(command: Command): string {
  const options = optionRows({ ...command.options, ...COMMON_OPTIONS });
  return [
    `Usage: freehold ${synopsis(command)} [OPTIONS]`,
    `${command.summary}.${command.about ? `\n${command.about}` : ''}`,
    `Options\n${listing(options, widest(options))}`,
  ].join('\n\n');
}

/** For a word like `task` that only begins a command. */
export function groupHelp(word: string, commands: Command[]): string {
  const rows = commands.map((command): [string, string] => [synopsis(command), command.summary]);
  return `Usage: freehold ${word} COMMAND [OPTIONS]\n\nCommands\n${listing(rows, widest(rows))}`;
}

const synopsis = ({ name, positionals = [] }: Command): string => [name, ...positionals].join(' ');

const optionRows = (options: Options): [string, string][] =>
  Object.entries(options).map(([name, { value, says }]) => [`--${name}${value ? ` ${value}` : ''}`, says]);

const widest = (rows: [string, string][]): number => Math.max(...rows.map(([left]) => left.length));

const listing = (rows: [string, string][], width: number): string =>
  indent(rows.map(([left, right]) => `${left.padEnd(width)}  ${right}`).join('\n'), 2);
