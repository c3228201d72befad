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

/** How much a node is asked, and how soon again. */
type Pace = {
  failures: number;
  restsUntil: Date | undefined;
  /** Blocks that the node is asked about at once: fewer where it refuses, more again where it answers. */
  step: bigint;
};

/** What one process remembers of its looks for a coin; another that takes over needs none of it. */
type Memory = {
  /** At new blocks, and at old ones: a node may have those no more, and no new payment is to wait for that. */
  newer: Pace;
  older: Pace;
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
      done += await paced(world, memory.newer, op, () => look(world, chain, memory, op));
      // Who rests after a failure is not asked about old blocks either.
      const isAsked = memory.newer.restsUntil === undefined;
      if (isAsked) done += await paced(world, memory.older, op, () => lookBack(world, chain, memory, op));
    }
    return done;
  };
}

const unhurried = (): Pace => ({ failures: 0, restsUntil: undefined, step: MAX_BLOCKS });
const beginning = (): Memory => ({ newer: unhurried(), older: unhurried(), seen: undefined, isElsewhere: false });
const NOTHING = { ok: true, value: 0 } as const;

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

async function paced(
  world: PaymentsWorld,
  pace: Pace,
  op: Op,
  work: () => Promise<RpcAnswer<number>>,
): Promise<number> {
  if (pace.restsUntil && pace.restsUntil > op.now) return 0;
  const done = await work();
  if (!done.ok) return rest(world, pace, op, done);
  Object.assign(pace, { failures: 0, restsUntil: undefined });
  return done.value;
}

/** The coin, if the node is of its chain: else nothing that it says is worth anything. */
async function known(
  { chain: current, db, log }: PaymentsWorld,
  chain: Chain,
  memory: Memory,
  op: Op,
): Promise<RpcAnswer<Coin | undefined>> {
  const coin = memory.isElsewhere ? undefined : await findCoin(db, chain.token);
  if (!coin) return { ok: true, value: undefined };
  const chainId = await chain.chainId(op.signal);
  if (!chainId.ok || chainId.value === coin.chainId) return chainId.ok ? { ok: true, value: coin } : chainId;
  // A chain that has been exchanged under a coin is a slip that is mended soon; one of a coin before is of the past.
  if (chain.token === current?.token) return { ok: false, kind: 'nonsense', reason: WRONG_CHAIN };
  memory.isElsewhere = true;
  log.warn({ token: coin.token, symbol: coin.symbol, chainId: coin.chainId }, `${NOT_READ}: it is of another chain`);
  return { ok: true, value: undefined };
}

/** At blocks that have come since the last time. */
async function look(world: PaymentsWorld, chain: Chain, memory: Memory, op: Op): Promise<RpcAnswer<number>> {
  const { db, confirmations } = world;
  const before = memory.seen;
  memory.seen = undefined;
  const found = await known(world, chain, memory, op);
  if (!found.ok || !found.value) return found.ok ? NOTHING : found;
  const head = await chain.head(op.signal);
  if (!head.ok) return head;
  const { newest, isWished } = await outlook(db, chain.token);
  if (!isWished && before === `${head.value.hash} ${newest}`) {
    memory.seen = before;
    return NOTHING;
  }
  // After the newest block: what is given out from here on can only be paid in blocks that are newer.
  const from = afterSettled(head.value, confirmations);
  const { coin, addresses } = await db.transact((tx) => watched(tx, chain.token, from));
  if (!coin || addresses.length === 0) return NOTHING;
  const options = { coin, head: head.value, addresses, confirmations, step: memory.newer.step };
  const reading = await readOn(chain, options, op.signal);
  if (!reading.ok) return reading;
  answered(memory.newer);
  const credited = await book(world, op, coin, reading.value);
  if (reading.value.awaited === undefined || credited === undefined) return { ok: true, value: 1 };
  memory.seen = `${head.value.hash} ${addresses.at(-1)}`;
  return { ok: true, value: credited };
}

async function watched(tx: Tx, token: string, from: bigint) {
  await lockCoin(tx, token);
  // While nobody is watched the cursor stands; what rests is read for up to here.
  await skipUnwatched(tx, token, from);
  await arrange(tx, token);
  return { coin: await findCoin(tx, token), addresses: await watchedAddresses(tx, token) };
}

/** At blocks that were read while some addresses rested. */
async function lookBack(world: PaymentsWorld, chain: Chain, memory: Memory, op: Op): Promise<RpcAnswer<number>> {
  const unread = await nextUnread(world.db, chain.token);
  if (!unread) return NOTHING;
  const coin = await known(world, chain, memory, op);
  if (!coin.ok || !coin.value) return coin.ok ? NOTHING : coin;
  const found = await catchUp(chain, unread, memory.older.step, op.signal);
  if (!found.ok) return found;
  answered(memory.older);
  await bookCaughtUp(world, op, coin.value, found.value);
  return { ok: true, value: 1 };
}

function answered(pace: Pace): void {
  pace.step = pace.step * 2n < MAX_BLOCKS ? pace.step * 2n : MAX_BLOCKS;
}

/** Nothing is lost by a look that failed: the next one reads the same blocks. */
function rest({ log }: PaymentsWorld, pace: Pace, op: Op, { reason }: RpcFailure): number {
  if (op.signal.aborted) return 0;
  // Nodes limit blocks, results or time, and word it as they like.
  if (reason.startsWith(LOGS) && pace.step > 1n) {
    pace.step /= 2n;
    log.warn({ reason, blocks: Number(pace.step) }, 'a node of the chain is asked about fewer blocks at once');
    return 1;
  }
  const restMs = Math.min(FIRST_REST_MS * 2 ** pace.failures, LONGEST_REST_MS);
  pace.failures = Math.min(pace.failures + 1, MAX_FAILURES);
  pace.restsUntil = after(op.now, restMs);
  log[reason === WRONG_CHAIN ? 'error' : 'warn']({ reason, restMs }, 'the chain could not be read for payments');
  return 0;
}

/** More are not counted, so that the power stays a number. */
const MAX_FAILURES = 20;
