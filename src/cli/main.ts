/** The command line: finds the command, runs it, and words what went wrong. */
import manifest from '../../package.json' with { type: 'json' };
import { COMMON_OPTIONS, readArguments } from './arguments.ts';
import type { Command } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import { EXIT_FAILED, Failure, WrongUsage } from './failure.ts';
import { commandHelp, generalHelp, groupHelp, START_HELP } from './help.ts';
import { openSession } from './session.ts';
import { readSettings } from './settings.ts';
import { harmless, openTerminal } from './terminal.ts';

const terminal = openTerminal();

async function run(args: string[]): Promise<void> {
  const { options, words } = splitOptions(args);
  const [first, second] = words;
  if (first === 'help') return run([...words.slice(1), '--help']);
  if (options.includes('--version')) return terminal.print(`freehold ${manifest.version}`);
  if (first === undefined) return terminal.print(generalHelp(COMMANDS));
  if (first === 'start') return explainStart([...options, ...words.slice(1)]);
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  const command = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`);
  if (command) return runCommand(command, [...options, ...words.slice(command.name.split(' ').length)]);
  if (group.length === 0) throw new WrongUsage(`There is no command "${first}"; see \`freehold --help\`.`);
  if ([...options, second].includes('--help')) return terminal.print(groupHelp(first, group));
  const choice = group.map(({ name }) => name.slice(first.length + 1)).join(', ');
  throw new WrongUsage(
    second === undefined || second.startsWith('-')
      ? `After "${first}" comes one of: ${choice}.`
      : `There is no command "${first} ${second}", only: ${choice}.`,
  );
}

/** The launcher starts the server itself, unless anything stands beside the word. */
function explainStart(more: string[]): void {
  if (more.includes('--help')) return terminal.print(START_HELP);
  throw new WrongUsage(`"${more.join(' ')}" is too much: \`freehold start\` takes its settings from the environment.`);
}

/** Options that stand before the command are of the kind that every command has. */
function splitOptions(args: string[]): { options: string[]; words: string[] } {
  let count = 0;
  while (args[count]?.startsWith('-')) count += args[count] === '--url' ? 2 : 1;
  const options = args.slice(0, count);
  const known = [...Object.keys(COMMON_OPTIONS), 'version'];
  const unknown = options.find(
    (option) => option.startsWith('-') && !known.includes(option.slice(2).split('=')[0] ?? ''),
  );
  if (unknown) throw new WrongUsage(`There is no option "${unknown}"; see \`freehold --help\`.`);
  return { options, words: args.slice(count) };
}

async function runCommand(command: Command, args: string[]): Promise<void> {
  const given = readArguments(command, args);
  if (given.flag('help')) return terminal.print(commandHelp(command));
  const settings = readSettings(process.env, given.text('url'));
  const output = given.flag('json') ? 'json' : 'text';
  const session = openSession({ terminal, settings, output, environment: process.env, now: () => new Date() });
  await command.run(session, given);
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Failure ? error.message : `This is a defect of the command line: ${String(error)}.`;
  terminal.say(`${terminal.paintSaid('red', 'freehold:')} ${harmless(message)}`);
  process.exitCode = error instanceof Failure ? error.exitCode : EXIT_FAILED;
}
