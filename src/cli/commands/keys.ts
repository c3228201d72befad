import { show, type Command } from '../command.ts';
import { fields, moment, table } from '../layout.ts';

type Key = {
  id: string;
  name: string;
  key_prefix: string;
  scopes: string[];
  created_at: string;
};
type ListedKey = Key & { last_used_at: string | null };
type NewKey = Key & { key: string };

/** A key without scopes may do everything. */
const may = ({ scopes }: Key): string => scopes.join(', ') || 'everything';

const list: Command = {
  name: 'keys list',
  summary: 'List your API keys',
  async run(session) {
    const { paint, foreign } = session.terminal;
    show(session, await (await session.account()).get<{ keys: ListedKey[] }>('/v1/keys'), ({ keys }) =>
      table(
        keys,
        [
          { title: 'id', of: (key) => key.id },
          { title: 'name', of: (key) => foreign(key.name) },
          { title: 'key', of: (key) => `${key.key_prefix}…` },
          { title: 'may', of: may },
          { title: 'last used (utc)', of: (key) => moment(key.last_used_at) },
          { title: 'created (utc)', of: (key) => moment(key.created_at) },
        ],
        { paint, empty: 'You have no keys.' },
      ),
    );
  },
};

const create: Command = {
  name: 'keys create',
  summary: 'Make another API key',
  about: 'The key is printed once and cannot be shown again.',
  options: {
    name: { kind: 'text', value: 'NAME', says: 'What the key is for' },
    scope: { kind: 'list', value: 'SCOPE', says: 'read, write, exec or compute; again for more; everything without' },
    format: { kind: 'text', value: 'FORMAT', says: 'e2b for a key that clients of the E2B API take' },
  },
  async run(session, given) {
    const scopes = given.list('scope');
    const format = given.text('format');
    const body = { name: given.required('name'), ...(scopes.length > 0 && { scopes }), ...(format && { format }) };
    const { paint, foreign } = session.terminal;
    show(session, await (await session.account()).post<NewKey>('/v1/keys', { body }), (key) =>
      fields(
        [
          ['id', key.id],
          ['name', foreign(key.name)],
          ['may', may(key)],
          ['key', `${paint('bold', key.key)}  ${paint('dim', '(shown only now)')}`],
        ],
        paint,
      ),
    );
  },
};

const revoke: Command = {
  name: 'keys revoke',
  summary: 'Revoke an API key for good',
  positionals: ['ID'],
  async run(session, given) {
    const path = `/v1/keys/${encodeURIComponent(given.positional('ID'))}`;
    show(session, await (await session.account()).delete<{ id: string }>(path), ({ id }) => `Key ${id} is revoked.`);
  },
};

export const keyCommands: Command[] = [list, create, revoke];
