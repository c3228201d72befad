import type { Op } from '../../kernel/op.ts';
import { after, MINUTE, SECOND } from '../../kernel/time.ts';
import type { Tx } from '../../platform/db.ts';
import { book, bookCaughtUp } from './book.ts';
import { LOGS, type Chain } from './chain.ts';
import { afterSettled, catchUp, MAX_BLOCKS, readOn } from './read.ts';
import { WRONG_CHAIN } from './request.ts';
import type { RpcAnswer, RpcFailure } from './rpc.ts';
import { coinsToRead, findCoin, lockCoin } from './store.ts';
import type { Coin } from './topup.ts';
import { arrange, nextUnread, outlook, skipUnwatched, watchedAddresses } from './watch-store.ts';
import type { PaymentsWorld } from './world.ts';

/** After a failure the chain is left alone for so long, each time twice as long, up to the most. */
const FIRST_REST_MS = 5 * SECOND;
const LONGEST_REST_MS = 2 * MINUTE;

/** What one process remembers of its looks for a coin; another that takes over needs none of it. */
type Memory = {
  failures: number;
  restsUntil: Date | undefined;
  /** Blocks that the node is asked about at once: fewer where it refuses, more again where it answers. */
  step: bigint;
  /** The newest block and the last address at the last look: where both are the same there is nothing new. */
  seen: string | undefined;
  /** A coin before the one of now, of another chain: there is nobody to ask about it. */
  isElsewhere: boolean;
};

/** Looks at the chain for payments. What it answers is how much was done; it is asked again until that is 0. */
export function createWatch(world: PaymentsWorld): (op: Op) => Promise<number> {
  const memories = new Map<string, Memory>();
  return async (op) => {
    let done = 0;
    for (const chain of await chainsToRead(world)) {
      const memory = memories.get(chain.token) ?? beginning();
      memories.set(chain.token, memory);
      if (memory.isElsewhere || (memory.restsUntil && memory.restsUntil > op.now)) continue;
      const found = await lookAt(world, chain, memory, op);
      done += found.ok ? found.value : rest(world, memory, op, found);
    }
    return done;
  };
}

/** The coin that is asked for first, then those before it that somebody has been given an address for. */
async function chainsToRead({ db, chain, chainOf, formerCoins }: PaymentsWorld): Promise<Chain[]> {
  if (!chain) return [];
  const tokens = (await coinsToRead(db)).map(({ token }) => token);
  const former = formerCoins === 'credited' ? tokens.filter((token) => token !== chain.token) : [];
  return [...(tokens.includes(chain.token) ? [chain] : []), ...former.map(chainOf)];
}

/** Says in the log of which coins addresses have been given out that nobody looks for payments to any more. */
export async function tellUnread({ db, chain, formerCoins, log }: PaymentsWorld): Promise<void> {
  for (const { token, symbol, chainId } of await coinsToRead(db)) {
    const isRead = chain && (token === chain.token || formerCoins === 'credited');
    if (!isRead) log.warn({ token, symbol, chainId }, `${NOT_READ}, as the settings have it`);
  }
}

const NOT_READ = 'payments with a coin that addresses were given out for are not looked for and not credited';

const beginning = (): Memory => ({
  failures: 0,
  restsUntil: undefined,
  step: MAX_BLOCKS,
  seen: undefined,
  isElsewhere: false,
});

async function lookAt(world: PaymentsWorld, chain: Chain, memory: Memory, op: Op): Promise<RpcAnswer<number>> {
  const coin = await findCoin(world.db, chain.token);
  if (!coin) return { ok: true, value: 0 };
  const chainId = await chain.chainId(op.signal);
  if (!chainId.ok) return chainId;
  if (chainId.value !== coin.chainId) return elsewhere(world, memory, coin);
  const newer = await look(world, chain, memory, op);
  if (!newer.ok) return newer;
  const older = await lookBack(world, chain, memory, op, coin);
  if (!older.ok) return older;
  Object.assign(memory, { failures: 0, restsUntil: undefined });
  return { ok: true, value: newer.value + older.value };
}

/** A chain that has been exchanged under a coin is a slip that is mended soon; one of a coin before is of the past. */
function elsewhere({ chain, log }: PaymentsWorld, memory: Memory, coin: Coin): RpcAnswer<number> {
  if (coin.token === chain?.token) return { ok: false, kind: 'nonsense', reason: WRONG_CHAIN };
  memory.isElsewhere = true;
  log.warn({ token: coin.token, symbol: coin.symbol, chainId: coin.chainId }, `${NOT_READ}: it is of another chain`);
  return { ok: true, value: 0 };
}

/** At blocks that have come since the last time. */
async function look(world: PaymentsWorld, chain: Chain, memory: Memory, op: Op): Promise<RpcAnswer<number>> {
  const { db, confirmations } = world;
  const head = await chain.head(op.signal);
  if (!head.ok) return head;
  const { newest, isWished } = await outlook(db, chain.token);
  if (!isWished && memory.seen === `${head.value.hash} ${newest}`) return { ok: true, value: 0 };
  // After the newest block: what is given out from here on can only be paid in blocks that are newer.
  const { coin, addresses } = await db.transact((tx) =>
    watched(tx, chain.token, afterSettled(head.value, confirmations)),
  );
  if (!coin || addresses.length === 0) return { ok: true, value: 0 };
  const options = { coin, head: head.value, addresses, confirmations, step: memory.step };
  const reading = await readOn(chain, options, op.signal);
  if (!reading.ok) return reading;
  answered(memory);
  const credited = await book(world, op, coin, reading.value);
  const isThrough = reading.value.awaited !== undefined && credited !== undefined;
  memory.seen = isThrough ? `${head.value.hash} ${addresses.at(-1)}` : undefined;
  return { ok: true, value: isThrough ? credited : 1 };
}

async function watched(tx: Tx, token: string, from: bigint) {
  await lockCoin(tx, token);
  // While nobody is watched the cursor stands; what rests is read for up to here.
  await skipUnwatched(tx, token, from);
  await arrange(tx, token);
  return { coin: await findCoin(tx, token), addresses: await watchedAddresses(tx, token) };
}

/** At blocks that were read while some addresses rested. */
async function lookBack(
  world: PaymentsWorld,
  chain: Chain,
  memory: Memory,
  op: Op,
  coin: Coin,
): Promise<RpcAnswer<number>> {
  const unread = await nextUnread(world.db, chain.token);
  if (!unread) return { ok: true, value: 0 };
  const found = await catchUp(chain, unread, memory.step, op.signal);
  if (!found.ok) return found;
  answered(memory);
  await bookCaughtUp(world, op, coin, found.value);
  return { ok: true, value: 1 };
}

function answered(memory: Memory): void {
  memory.step = memory.step * 2n < MAX_BLOCKS ? memory.step * 2n : MAX_BLOCKS;
}

/** Nothing is lost by a look that failed: the next one reads the same blocks. */
function rest({ log }: PaymentsWorld, memory: Memory, op: Op, { reason }: RpcFailure): number {
  if (op.signal.aborted) return 0;
  // Nodes limit blocks, results or time, and word it as they like.
  if (reason.startsWith(LOGS) && memory.step > 1n) {
    memory.step /= 2n;
    log.warn({ reason, blocks: Number(memory.step) }, 'a node of the chain is asked about fewer blocks at once');
    return 1;
  }
  const restMs = Math.min(FIRST_REST_MS * 2 ** memory.failures, LONGEST_REST_MS);
  memory.failures = Math.min(memory.failures + 1, MAX_FAILURES);
  memory.restsUntil = after(op.now, restMs);
  memory.seen = undefined;
  log[reason === WRONG_CHAIN ? 'error' : 'warn']({ reason, restMs }, 'the chain could not be read for payments');
  return 0;
}

/** More are not counted, so that the power stays a number. */
const MAX_FAILURES = 20;
