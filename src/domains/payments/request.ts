import { AppError } from '../../kernel/errors.ts';
import { newId, type AccountOp } from '../../kernel/op.ts';
import { after, MINUTE, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { recordFact } from '../../platform/outbox.ts';
import type { Chain } from './chain.ts';
import type { RpcFailure } from './rpc.ts';
import {
  countOpen,
  findCoin,
  findTopup,
  hasPaid,
  insertCoin,
  insertTopup,
  lockAccount,
  lockCoin,
  nextAddressIndex,
} from './store.ts';
import {
  AMOUNT_RULE,
  MAX_OPEN,
  MAX_OPEN_UNPAID,
  OPEN_MS,
  parseAmount,
  wrongField,
  type Coin,
  type Topup,
} from './topup.ts';
import { skipUnwatched } from './watch-store.ts';
import type { PaymentsWorld } from './world.ts';

const RETRY_SECONDS = MINUTE / SECOND;

export type TopupWish = { amountUsd: string | number; coin: string };

/**
 * An address of its own for the caller to pay to. Throws `unconfigured`, `at_capacity` while the chain does not
 * answer, `invalid`, `conflict` where too many of the caller's wait already.
 */
export async function requestTopup(world: PaymentsWorld, op: AccountOp, wish: TopupWish): Promise<Topup> {
  const { db, chain } = world;
  const id = newId(op, 'topup');
  const earlier = op.seed && (await findTopup(db, id));
  if (earlier) return earlier;
  if (!chain) throw new AppError('unconfigured', 'This server takes no top-ups by itself. Ask whoever runs it.');
  const amount = parseAmount(wish.amountUsd);
  if (amount === undefined) throw wrongField('amountUsd', AMOUNT_RULE);
  const { coin, head } = await openCoin(world, chain, op);
  if (wish.coin.toUpperCase() !== coin.symbol.toUpperCase()) throw wrongField('coin', `must be ${coin.symbol}`);
  const addressAt = await world.wallet.open();
  return db.transact(async (tx) => {
    await lockAccount(tx, op.actor.accountId);
    const again = op.seed && (await findTopup(tx, id));
    if (again) return again;
    await requireRoom(tx, op);
    const firstBlock = await beginReading(world, tx, op, coin, head);
    const addressIndex = await nextAddressIndex(tx);
    const address = addressAt(addressIndex);
    const { accountId } = op.actor;
    const { token } = coin;
    const expiresAt = after(op.now, OPEN_MS);
    await insertTopup(tx, {
      id,
      accountId,
      token,
      address,
      addressIndex,
      amount,
      createdAt: op.now,
      expiresAt,
      firstBlock,
    });
    await recordFact(tx, op, {
      type: 'topup.requested',
      subject: id,
      accountId,
      data: { amount: String(amount), coin: coin.symbol, chainId: coin.chainId, address },
    });
    const made = await findTopup(tx, id);
    if (!made) throw new Error('a top-up that was inserted is found');
    return made;
  });
}

/** Throws `conflict`. */
async function requireRoom(tx: Tx, { actor: { accountId }, now }: AccountOp): Promise<void> {
  const most = (await hasPaid(tx, accountId)) ? MAX_OPEN : MAX_OPEN_UNPAID;
  if ((await countOpen(tx, accountId, now)) >= most)
    throw new AppError('conflict', `${most} top-ups wait for a payment already. Pay one, or let one expire.`);
}

/** What a chain that answers says of the coin, which must be what it has always said. */
export async function openCoin(
  { db, log }: PaymentsWorld,
  chain: Chain,
  { signal }: Pick<AccountOp, 'signal'>,
): Promise<{ coin: Coin; head: bigint }> {
  const chainId = await chain.chainId(signal);
  if (!chainId.ok) throw silent(chainId);
  const known = await findCoin(db, chain.token);
  if (known && known.chainId !== chainId.value) {
    log.error({ known: known.chainId, found: chainId.value }, WRONG_CHAIN);
    throw silent({ ok: false, kind: 'nonsense', reason: WRONG_CHAIN });
  }
  const head = await chain.head(signal);
  if (!head.ok) throw silent(head);
  if (known) return { coin: known, head: head.value.number };
  const described = await chain.describe(signal);
  if (!described.ok) throw silent(described);
  return { coin: { token: chain.token, chainId: chainId.value, ...described.value }, head: head.value.number };
}

export const WRONG_CHAIN =
  'FREEHOLD_EVM_RPC_URL leads to another chain than the one that this coin was first found on: nothing is read or credited';

const silent = ({ reason }: RpcFailure): AppError =>
  new AppError('at_capacity', 'The chain that payments come by cannot be asked just now. Try again in a minute.', {
    cause: new Error(reason),
    retryAfterSeconds: RETRY_SECONDS,
  });

/** Answers the first block that a payment to a new address can be in; some before, where the newest are rewritten. */
async function beginReading(world: PaymentsWorld, tx: Tx, op: AccountOp, coin: Coin, head: bigint): Promise<bigint> {
  const first = head - BigInt(world.confirmations);
  const from = first > 0n ? first : 0n;
  await insertCoin(tx, coin, { nextBlock: from, headBlock: head, now: op.now });
  // First the lock: an address that is watched again just now must be seen.
  await lockCoin(tx, coin.token);
  await skipUnwatched(tx, coin.token, from);
  return from;
}
