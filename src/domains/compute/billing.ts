import { AppError, assert, isAppError } from '../../kernel/errors.ts';
import { uuidFrom, type TransferId } from '../../kernel/ids.ts';
import { usd, type Usd } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Tx } from '../../platform/db.ts';
import { REVENUE, wallet, type Ledger, type Transfer } from '../ledger/index.ts';
import { affordable, periodsBegun, prepay, rest, type Meter } from './money.ts';
import type { Offer, Server } from './server.ts';

type Paying = Pick<Server, 'id' | 'accountId' | 'offer' | 'name' | 'meter'>;

const TYPES = {
  hourly: { charge: 'server_charge', refund: 'server_refund' },
  monthly: { charge: 'compute_charge', refund: 'compute_refund' },
} as const satisfies Record<Offer, { charge: string; refund: string }>;
const WHAT = { hourly: 'Server', monthly: 'Compute instance' } as const satisfies Record<Offer, string>;
const PERIOD = { hourly: 'hour', monthly: '30 days' } as const satisfies Record<Offer, string>;

const idFor = ({ id }: Paying, what: string): TransferId => uuidFrom(sha256(`server ${id} ${what}`)) as TransferId;
const nameOf = ({ offer, name, id }: Paying): string => `${WHAT[offer]} ${name} (${id})`;
const spoken = (at: Date): string => `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** Puts the price of the first period aside until the server is there. Throws `unaffordable`. */
export async function putAside(ledger: Ledger, tx: Tx, op: Op, server: Paying): Promise<void> {
  const { offer, meter, accountId } = server;
  try {
    await ledger.hold(tx, op, {
      id: idFor(server, 'first'),
      type: TYPES[offer].charge,
      releaseType: TYPES[offer].refund,
      description: `${nameOf(server)}: first ${PERIOD[offer]}`,
      from: wallet(accountId, 'USD'),
      to: REVENUE,
      amount: meter.price,
    });
  } catch (cause) {
    if (!isAppError(cause, 'unaffordable')) throw cause;
    throw new AppError('unaffordable', `Insufficient balance for the first ${PERIOD[offer]}. Top up first.`, { cause });
  }
}

/** The first period is paid with what was put aside for it. */
export const payFirst = async (ledger: Ledger, tx: Tx, op: Op, server: Paying): Promise<void> =>
  void (await ledger.postHold(tx, op, idFor(server, 'first')));

export const giveBackFirst = async (ledger: Ledger, tx: Tx, op: Op, server: Paying): Promise<void> =>
  void (await ledger.voidHold(tx, op, idFor(server, 'first')));

/** What a step of the meter costs. A step from the same count of periods is the same transfer. */
export function chargeOf(server: Paying, next: Meter): Transfer {
  const { offer, meter, accountId } = server;
  assert(next.paidUntil, 'what is charged for is paid until some time');
  const owed = usd(meter.price * BigInt(next.periods - meter.periods));
  return {
    id: idFor(server, `periods from ${meter.periods}`),
    type: TYPES[offer].charge,
    description: `${nameOf(server)}: paid until ${spoken(next.paidUntil)}`,
    metadata: { server_id: server.id, periods: next.periods - meter.periods, periods_in_all: next.periods },
    legs: [
      { account: wallet(accountId, 'USD'), amount: usd(-owed) },
      { account: REVENUE, amount: owed },
    ],
  };
}

/** What it had been up for by then, as far as there is money for it; it costs nothing after that. */
export const settleUp = async (ledger: Ledger, tx: Tx, op: Op, server: Paying, until: Date): Promise<Meter> =>
  rest(await payOn(ledger, tx, op, server, periodsBegun(server.meter, until)));

/**
 * Pays so many periods, or as many as there is money for. Whoever spends at the same moment may be quicker: then it is
 * fewer, and no failure.
 */
export async function payOn(ledger: Ledger, tx: Tx, op: Op, server: Paying, periods: number): Promise<Meter> {
  const { meter } = server;
  for (let most = periods; most > 0;) {
    const paid = Math.min(most, affordable(meter, await available(ledger, tx, server)));
    if (paid === 0) break;
    const next = prepay(meter, paid);
    const [outcome] = await ledger.transferAll(tx, op, [chargeOf(server, next)]);
    if (outcome !== 'unaffordable') return next;
    most = paid - 1;
  }
  return meter;
}

/** Gives the running period back: of a server that was lost without its owner's doing. */
export async function giveBackLast(ledger: Ledger, tx: Tx, op: Op, server: Paying): Promise<Meter> {
  const { offer, meter, accountId } = server;
  await ledger.transfer(tx, op, {
    id: idFor(server, `refund of ${meter.periods}`),
    type: TYPES[offer].refund,
    description: `${nameOf(server)}: the last ${PERIOD[offer]} given back`,
    metadata: { server_id: server.id },
    legs: [
      { account: wallet(accountId, 'USD'), amount: meter.price },
      { account: REVENUE, amount: usd(-meter.price) },
    ],
  });
  return rest({ ...meter, periods: meter.periods - 1 });
}

export const available = async (ledger: Ledger, tx: Tx, { accountId }: Pick<Paying, 'accountId'>): Promise<Usd> =>
  (await ledger.balance(tx, wallet(accountId, 'USD'))).available;
