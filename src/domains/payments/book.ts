import { assert, isAppError } from '../../kernel/errors.ts';
import { uuidFrom, type TransferId } from '../../kernel/ids.ts';
import { usd, type Usd } from '../../kernel/money.ts';
import type { Op } from '../../kernel/op.ts';
import { sha256 } from '../../platform/crypto.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import { depositOf, type Transfer } from '../ledger/index.ts';
import { setAside } from './aside-store.ts';
import type { Payment } from './chain.ts';
import type { Reading } from './read.ts';
import {
  insertCredited,
  lockCoin,
  notePayer,
  payee,
  replaceAwaited,
  saveRead,
  type Paid,
  type ReadCoin,
} from './store.ts';
import { worthOf, type Coin } from './topup.ts';
import { forgetFrom, saveCaughtUp, wishForPayer, type Unread } from './watch-store.ts';
import type { PaymentsWorld } from './world.ts';

/** A thousand million dollars in one payment: such a coin is no money, and nobody is to become rich by it. It is set aside. */
const MOST_AT_ONCE = usd(10n ** 15n);

/**
 * Credits what has settled and notes how far the chain has been read, in one transaction. Answers how many payments
 * were credited; undefined where another process has read on meanwhile, or has more addresses watched, and nothing was
 * done.
 */
export const book = (world: PaymentsWorld, op: Op, coin: ReadCoin, reading: Reading): Promise<number | undefined> =>
  world.db.transact(async (tx) => {
    const now = await lockCoin(tx, coin.token);
    if (now?.nextBlock !== coin.nextBlock || now.lastHash !== coin.lastHash || now.rounds !== coin.rounds)
      return undefined;
    if (reading.rewritten) {
      world.log.error(
        { chainId: coin.chainId, block: Number(coin.nextBlock - 1n) },
        'the chain was rewritten deeper than FREEHOLD_EVM_CONFIRMATIONS: what was credited from there on may have no money behind it',
      );
      await forgetFrom(tx, coin.token, reading.nextBlock);
    }
    let credited = 0;
    for (const payment of reading.settled) credited += (await credit(world, tx, op, coin, payment)) ? 1 : 0;
    if (reading.awaited) await replaceAwaited(tx, coin, await known(tx, coin, reading.awaited));
    await saveRead(tx, coin.token, { ...reading, readAt: reading.awaited && op.now });
    return credited;
  });

/** Credits what was found in blocks that had not been read for some addresses. Answers how many payments that was. */
export const bookCaughtUp = (
  world: PaymentsWorld,
  op: Op,
  coin: Coin,
  { settled, read }: { settled: readonly Payment[]; read: Unread },
): Promise<number> =>
  world.db.transact(async (tx) => {
    await lockCoin(tx, coin.token);
    let credited = 0;
    for (const payment of settled) credited += (await credit(world, tx, op, coin, payment)) ? 1 : 0;
    await saveCaughtUp(tx, read);
    return credited;
  });

async function credit(world: PaymentsWorld, tx: Tx, op: Op, coin: Coin, payment: Payment): Promise<boolean> {
  const amount = worthOf(payment.units, coin);
  const paid = await payee(tx, payment.to);
  assert(paid, 'only addresses of top-ups are looked for');
  const { topupId, accountId } = paid;
  if (!(await insertCredited(tx, coin.chainId, payment, { topupId, amount, at: op.now }))) return false;
  const isBooked = amount <= MOST_AT_ONCE && (await deposit(world, tx, op, transferOf(coin, payment, paid, amount)));
  const isNew = isBooked || (await setAside(tx, coin.chainId, payment, op.now));
  if (isBooked && (await notePayer(tx, accountId, op.now))) await wishForPayer(tx, accountId, op.now);
  if (isNew) await tell(world, tx, op, { isBooked, coin, payment, paid, amount });
  return isBooked;
}

/** False where the ledger has no room for it: one that can never be booked is not to hold up all that come after it. */
async function deposit({ ledger }: PaymentsWorld, tx: Tx, op: Op, transfer: Transfer): Promise<boolean> {
  if (transfer.legs.every(({ amount }) => amount === 0n)) return true;
  try {
    await ledger.transfer(tx, op, transfer);
    return true;
  } catch (error) {
    // All else that makes a transfer invalid is of our own making and sound.
    if (isAppError(error, 'invalid')) return false;
    throw error;
  }
}

type Booked = { isBooked: boolean; coin: Coin; payment: Payment; paid: Paid; amount: Usd };

async function tell({ log }: PaymentsWorld, tx: Tx, op: Op, booked: Booked): Promise<void> {
  const { isBooked, coin, payment, paid, amount } = booked;
  const { txHash, logIndex } = payment;
  await recordFact(tx, op, {
    type: isBooked ? 'topup.credited' : 'topup.set_aside',
    subject: paid.topupId,
    accountId: paid.accountId,
    data: { amount: String(amount), coin: coin.symbol, chainId: coin.chainId, txHash, logIndex },
  });
  if (isBooked) return;
  const reason = amount > MOST_AT_ONCE ? 'is too large to be true' : 'is more than the ledger has room for';
  log.error({ txHash, logIndex, topupId: paid.topupId }, `a payment ${reason} and is set aside, not credited`);
}

/** The same payment is the same transfer, whoever makes it and however often. */
const transferOf = (coin: Coin, { txHash, logIndex }: Payment, { topupId, accountId }: Paid, amount: Usd): Transfer =>
  depositOf({
    id: uuidFrom(sha256(`payment ${coin.chainId} ${txHash} ${logIndex}`)) as TransferId,
    accountId,
    amount,
    description: `Top-up with ${coin.symbol} (${txHash})`,
    metadata: { topup_id: topupId, chain_id: coin.chainId, tx_hash: txHash, log_index: logIndex },
  });

async function known(tx: Tx, coin: Coin, awaited: readonly Payment[]) {
  const found: { payment: Payment; topupId: Paid['topupId']; amount: Usd }[] = [];
  for (const payment of awaited) {
    const paid = await payee(tx, payment.to);
    assert(paid, 'only addresses of top-ups are looked for');
    const amount = worthOf(payment.units, coin);
    if (amount <= MOST_AT_ONCE) found.push({ payment, topupId: paid.topupId, amount });
  }
  return found;
}
