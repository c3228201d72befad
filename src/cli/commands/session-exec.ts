import type { Command } from '../command.ts';
import { isLost, openRemote } from '../eval/remote.ts';
import { Failure } from '../failure.ts';

const DEFAULT_TIMEOUT_SECONDS = 300;

export const sessionExec: Command = {
  name: 'session exec',
  summary: 'Run a command in a session, print what it prints, and end as it ends',
  about: 'COMMAND is run by bash in the repository; - reads it from standard input.',
  positionals: ['SESSION_ID', 'COMMAND'],
  options: {
    timeout: { kind: 'text', value: 'SECONDS', says: `How long it may take (${DEFAULT_TIMEOUT_SECONDS})` },
  },
  async run({ account, terminal, output }, given) {
    const remote = openRemote(await account());
    const id = given.positional('SESSION_ID');
    const said = given.positional('COMMAND');
    const command = said === '-' ? await terminal.readInput() : said;
    const timeout = given.count('timeout') ?? DEFAULT_TIMEOUT_SECONDS;
    const { interaction_id: interaction } = await remote.exec(id, { command, command_timeout: timeout });
    const ended = await remote.finished(id, interaction, undefined);
    if (output === 'json') terminal.print(JSON.stringify(ended));
    else terminal.copy(ended);
    if (isLost(ended)) throw new Failure(ended.message ?? 'The command was lost.');
    if (ended.message !== null) terminal.say(ended.message);
    process.exitCode = ended.exit_code ?? 0;
  },
};
