import type { Reply } from '../api.ts';
import { show, type Command, type Session } from '../command.ts';
import { readCredentials, writeCredentials, type Credentials } from '../credentials.ts';
import { Failure } from '../failure.ts';
import { dollars, fields } from '../layout.ts';
import { solveChallenge } from '../solve-challenge.ts';

type Challenge = { challenge: { type: string; description: string; prompt: string }; token: string };
type Registered = { account_id: string; api_key: string; key_prefix: string; balance_cents: number };

export const register: Command = {
  name: 'register',
  summary: 'Open an account on the server and keep its key here',
  about: `Fetches the server's challenge for agents and answers it. The key is kept in
~/.config/freehold/credentials.json, which only you can read; there is one key for each server.`,
  options: {
    name: { kind: 'text', value: 'NAME', says: 'Name of the account: letters, digits, spaces and hyphens' },
    replace: { kind: 'flag', says: 'Forget the key that is kept for this server already' },
  },
  async run(session, given) {
    const name = given.required('name');
    const { url, credentialsFile } = session.settings;
    const credentials = await readCredentials(credentialsFile);
    const kept = credentials[url];
    if (kept && !given.flag('replace'))
      throw new Failure(
        `The key of account ${kept.account_id} on ${url} is kept here already: \`--replace\` forgets it for good.`,
      );
    // A key that could not be kept would be lost with its account, so try before there is one.
    await writeCredentials(credentialsFile, credentials);
    const reply = await openAccount(session, name);
    await keep(session, credentials, reply.body, name);
    show(session, reply, (account) => {
      const { paint } = session.terminal;
      const rows: [string, string][] = [
        ['account', account.account_id],
        ['server', url],
        ['balance', dollars(account.balance_cents)],
        ['key', `${account.key_prefix}…, kept in ${credentialsFile}`],
      ];
      return `${paint('green', `Registered ${name}.`)}\n${fields(rows, paint)}`;
    });
  },
};

async function openAccount({ stranger }: Session, name: string): Promise<Reply<Registered>> {
  const server = stranger();
  const { challenge, token } = (await server.get<Challenge>('/v1/auth/challenge')).body;
  return server.post('/v1/auth/register', { body: { answer: solveChallenge(challenge), token, name } });
}

async function keep(session: Session, credentials: Credentials, account: Registered, name: string): Promise<void> {
  const { url, credentialsFile } = session.settings;
  const credential = { api_key: account.api_key, account_id: account.account_id, name };
  try {
    await writeCredentials(credentialsFile, { ...credentials, [url]: credential });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(`${error.message} Keep the key of the new account ${account.account_id}: ${account.api_key}`);
  }
}
