import { show, type Command } from '../command.ts';
import { dollars, fields, moment, table } from '../layout.ts';

type Account = {
  account_id: string;
  name: string;
  kind: string;
  claimed_at: string | null;
  key_count: number;
  created_at: string;
};
type Change = {
  type: string;
  amount_cents: number;
  balance_after_cents: number;
  description: string;
  created_at: string;
};
type Model = {
  slug: string;
  display_name: string;
  context_length: number;
  input_price_per_m: number;
  output_price_per_m: number;
};

const whoami: Command = {
  name: 'whoami',
  summary: 'Show the account of your key',
  async run(session) {
    const { paint, foreign } = session.terminal;
    show(session, await (await session.account()).get<Account>('/v1/account'), (account) =>
      fields(
        [
          ['account', account.account_id],
          ['name', foreign(account.name)],
          ['kind', account.kind],
          ['claimed', account.claimed_at ? moment(account.claimed_at) : 'no'],
          ['keys', String(account.key_count)],
          ['created', moment(account.created_at)],
          ['server', session.settings.url],
        ],
        paint,
      ),
    );
  },
};

const balance: Command = {
  name: 'balance',
  summary: 'Show what you can spend',
  async run(session) {
    const reply = await (await session.account()).get<{ balance_cents: number }>('/v1/credits/balance');
    show(session, reply, (body) => dollars(body.balance_cents));
  },
};

const history: Command = {
  name: 'history',
  summary: 'List the changes of your balance, newest first',
  options: { limit: { kind: 'text', value: 'N', says: 'How many, up to 1000 (50)' } },
  async run(session, given) {
    const limit = given.count('limit') ?? 50;
    const account = await session.account();
    const reply = await account.get<{ transactions: Change[] }>(`/v1/credits/history?limit=${limit}`);
    const { paint, foreign } = session.terminal;
    show(session, reply, ({ transactions }) =>
      table(
        transactions,
        [
          { title: 'time (utc)', of: (change) => moment(change.created_at) },
          { title: 'type', of: (change) => change.type },
          { title: 'amount', of: (change) => dollars(change.amount_cents), side: 'right' },
          { title: 'balance', of: (change) => dollars(change.balance_after_cents), side: 'right' },
          { title: 'description', of: (change) => foreign(change.description) },
        ],
        { paint, empty: 'Your balance has never changed.' },
      ),
    );
  },
};

const models: Command = {
  name: 'models',
  summary: 'List the models that tasks can use, with prices for a million tokens',
  async run(session) {
    const reply = await (await session.account()).get<{ data: Model[] }>('/v1/models');
    const price = (usd: number): string => `$${usd.toFixed(2)}`;
    show(session, reply, ({ data }) =>
      table(
        data,
        [
          { title: 'slug', of: (model) => model.slug },
          { title: 'name', of: (model) => model.display_name },
          { title: 'context', of: (model) => String(model.context_length), side: 'right' },
          { title: 'input', of: (model) => price(model.input_price_per_m), side: 'right' },
          { title: 'output', of: (model) => price(model.output_price_per_m), side: 'right' },
        ],
        { paint: session.terminal.paint, empty: 'This server has no models.' },
      ),
    );
  },
};

const claimLink: Command = {
  name: 'claim-link',
  summary: 'Make a link with which a person can claim your account',
  about: 'The link works once. Whoever has it can take the account over; your keys keep working.',
  async run(session) {
    const account = await session.account();
    const reply = await account.post<{ claim_url: string; expires_at: string }>('/v1/account/claim-link');
    show(session, reply, (link) => {
      const { say, paintSaid } = session.terminal;
      say(paintSaid('dim', `Works once, until ${moment(link.expires_at)} UTC. Whoever has it can claim the account.`));
      return link.claim_url;
    });
  },
};

export const accountCommands: Command[] = [whoami, balance, history, models, claimLink];
