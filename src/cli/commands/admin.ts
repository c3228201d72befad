import { wholeNumber } from '../arguments.ts';
import { show, type Command } from '../command.ts';
import { Failure } from '../failure.ts';
import { dollars, fields, moment, plural, table } from '../layout.ts';

type Credited = { account_id: string; balance_cents: number; transaction_id: string };
type Machine = {
  id: string;
  driver: string;
  tier: string;
  state: string;
  purpose: string;
  limits: { vcpu: number; memory_mb: number };
  usage: { cpu_seconds: number; memory_bytes: number } | null;
  account_id: string;
  created_at: string;
};
type Discrepancy = { claim: string; where: string; expected: string; found: string };
type Proof = {
  valid: boolean;
  sum_of_balances: string;
  sum_of_holds: string;
  entries_checked: number;
  discrepancies: Discrepancy[];
};
type Reconciled = { valid: boolean; discrepancy: string; checked_at: string; currencies: Record<string, Proof> };

const BYTES_PER_MB = 1_048_576;

const credit: Command = {
  name: 'admin credit',
  summary: 'Credit an account, or debit it with a negative amount',
  positionals: ['ACCOUNT_ID', 'CENTS'],
  options: {
    currency: { kind: 'text', value: 'CODE', says: 'USD (so without it) or TCK; CENTS are hundredths of it' },
    description: { kind: 'text', value: 'TEXT', says: "What the account's history says" },
    'idempotency-key': { kind: 'text', value: 'KEY', says: 'The same key credits once, however often it is sent' },
  },
  async run(session, given) {
    const cents = wholeNumber(given.positional('CENTS'), 'CENTS', -Infinity, 'admin credit');
    const currency = given.text('currency')?.toUpperCase() ?? 'USD';
    const body = {
      account_id: given.positional('ACCOUNT_ID'),
      amount_cents: cents,
      currency,
      description: given.text('description'),
      idempotency_key: given.text('idempotency-key'),
    };
    const amount = (of: number): string => (currency === 'USD' ? dollars(of) : `${(of / 100).toFixed(2)} ${currency}`);
    show(session, await session.operator().post<Credited>('/v1/admin/credits', { body }), (reply) =>
      fields(
        [
          ['account', reply.account_id],
          [cents < 0 ? 'debited' : 'credited', amount(Math.abs(cents))],
          ['balance', amount(reply.balance_cents)],
          ['transaction', reply.transaction_id],
        ],
        session.terminal.paint,
      ),
    );
  },
};

const machines: Command = {
  name: 'admin machines',
  summary: 'List all machines that exist',
  async run(session) {
    const reply = await session.operator().get<{ machines: Machine[] }>('/v1/admin/machines');
    const memory = (bytes: number | undefined): string =>
      bytes === undefined ? '–' : `${Math.ceil(bytes / BYTES_PER_MB)} MB`;
    show(session, reply, (body) =>
      table(
        body.machines,
        [
          { title: 'id', of: (machine) => machine.id },
          { title: 'state', of: (machine) => machine.state },
          { title: 'driver', of: (machine) => `${machine.driver} (${machine.tier})` },
          { title: 'purpose', of: (machine) => machine.purpose },
          { title: 'vcpu', of: (machine) => String(machine.limits.vcpu), side: 'right' },
          { title: 'memory', of: (machine) => `${machine.limits.memory_mb} MB`, side: 'right' },
          { title: 'used', of: (machine) => memory(machine.usage?.memory_bytes), side: 'right' },
          { title: 'cpu', of: ({ usage }) => (usage ? `${usage.cpu_seconds.toFixed(1)} s` : '–'), side: 'right' },
          { title: 'created (utc)', of: (machine) => moment(machine.created_at) },
          { title: 'account', of: (machine) => machine.account_id },
        ],
        { paint: session.terminal.paint, empty: 'There are no machines.' },
      ),
    );
  },
};

const sweep: Command = {
  name: 'admin sweep',
  summary: 'Remove machines that nobody has a right to any more',
  async run(session) {
    const reply = await session.operator().post<{ removed: string[] }>('/v1/admin/machines/sweep');
    show(session, reply, ({ removed }) =>
      removed.length === 0 ? 'Nothing was left over.' : ['Removed:', ...removed].join('\n'),
    );
  },
};

type ExportedWallet = { file: string; paid_addresses: number; derivation_path: string };

const topupWallet: Command = {
  name: 'admin topup-wallet',
  summary: 'Have the wallet that top-ups are paid to written to a file of the server',
  about:
    'The file is on the server’s host, in its data directory, and only its owner can read it: the words of the wallet, and the addresses that have been paid to. The words are in no reply. Remove the file after use.',
  async run(session) {
    const reply = await session.operator().post<ExportedWallet>('/v1/admin/topups/wallet');
    show(session, reply, ({ file, paid_addresses: paid, derivation_path: path }) =>
      fields(
        [
          ['file', file],
          ['paid addresses', String(paid)],
          ['path', path],
        ],
        session.terminal.paint,
      ),
    );
  },
};

const reconcile: Command = {
  name: 'admin reconcile',
  summary: 'Prove that the ledger adds up',
  about: 'Ends with 1 where it does not.',
  async run(session) {
    const reply = await session.operator().get<Reconciled>('/v1/admin/ledger/reconcile');
    const { paint } = session.terminal;
    show(session, reply, ({ currencies, checked_at }) => {
      const proofs = table(
        Object.entries(currencies),
        [
          { title: 'currency', of: ([code]) => code },
          { title: 'ledger', of: ([, proof]) => (proof.valid ? 'adds up' : 'DOES NOT ADD UP') },
          { title: 'balances', of: ([, proof]) => proof.sum_of_balances, side: 'right' },
          { title: 'holds', of: ([, proof]) => proof.sum_of_holds, side: 'right' },
          { title: 'entries', of: ([, proof]) => String(proof.entries_checked), side: 'right' },
        ],
        { paint, empty: 'There are no currencies.' },
      );
      return [proofs, ...Object.values(currencies).flatMap((proof) => proof.discrepancies.map(wordDiscrepancy))]
        .concat(paint('dim', `checked ${moment(checked_at)} UTC`))
        .join('\n');
    });
    const found = Object.values(reply.body.currencies).flatMap((proof) => proof.discrepancies).length;
    const isSound = reply.body.valid && Object.values(reply.body.currencies).every(({ valid }) => valid);
    if (!isSound)
      throw new Failure(`The ledger does not add up: ${plural(found, 'discrepancy').replace(/ys$/, 'ies')}.`);
  },
};

const wordDiscrepancy = ({ claim, where, expected, found }: Discrepancy): string =>
  `${claim} (${where}): ${expected} expected, ${found} found`;

export const adminCommands: Command[] = [credit, machines, sweep, topupWallet, reconcile];
