import type { Block, Chain, Payment, Span } from './chain.ts';
import type { RpcAnswer } from './rpc.ts';
import type { ReadCoin } from './store.ts';
import type { Unread } from './watch-store.ts';

/** Blocks that one look reads at the most; one that has fallen behind goes on at once. */
export const MAX_BLOCKS = 2_000n;
/** Questions that one look asks about them: where a node takes only narrow ranges, what has been read is kept soon. */
const QUESTIONS_AT_ONCE = 20n;
/**
 * Blocks before the next one that each look reads once more, at the most. Behind one address of a provider there are
 * several nodes: one that is behind says of blocks that it does not have only that there are no payments in them.
 */
const READ_AGAIN = 200n;
/** Blocks that are read once more where the chain was rewritten deeper than we wait. */
const REWIND_BLOCKS = 1_000n;

/** What one look at the chain has found. */
export type Reading = {
  head: bigint;
  /** The chain was rewritten below what had been read for good. */
  rewritten: boolean;
  /** The first block that the next look reads for good, and the hash of the one before. */
  nextBlock: bigint;
  lastHash: string | undefined;
  /** Payments that enough blocks stand on. */
  settled: Payment[];
  /** Payments that may still vanish; undefined where the look did not come so far. */
  awaited: Payment[] | undefined;
};

export type ReadOptions = {
  coin: ReadCoin;
  /** The newest block, which was asked for before the addresses were. */
  head: Block;
  addresses: readonly string[];
  confirmations: number;
  /** Blocks that a node is asked about in one question. */
  step: bigint;
};

/** The first block that too few others stand on. */
export const afterSettled = (head: Block, confirmations: number): bigint => head.number - BigInt(confirmations) + 2n;

/**
 * Reads on from where the last look ended: for good what enough blocks stand on, and, once it is that far, what is
 * newer. An answer counts only if the chain was the same before and after it.
 */
export async function readOn(chain: Chain, options: ReadOptions, signal: AbortSignal): Promise<RpcAnswer<Reading>> {
  const { coin, head, addresses, confirmations, step } = options;
  const final = afterSettled(head, confirmations) - 1n;
  const most = blocksAtOnce(step);
  const until = final < coin.nextBlock + most ? final : coin.nextBlock + most - 1n;
  const settled = until >= coin.nextBlock ? await settle(chain, options, until, signal) : undefined;
  if (settled && !settled.ok) return settled;
  // After the reading: a rewriting in the midst of it is seen here too.
  const same = await stillThere(chain, coin, signal);
  if (!same.ok) return same;
  const before = unread(coin, head);
  if (!same.value) return { ok: true, value: { ...before, ...rewound(coin), rewritten: true } };
  const reading = settled ? { ...before, ...settled.value } : before;
  if (reading.nextBlock <= final) return { ok: true, value: reading };
  const awaited = await paymentsIn(chain, addresses, { from: reading.nextBlock, until: head.number }, step, signal);
  return awaited.ok ? { ok: true, value: { ...reading, awaited: awaited.value } } : awaited;
}

async function settle(
  chain: Chain,
  { coin, addresses, step }: ReadOptions,
  until: bigint,
  signal: AbortSignal,
): Promise<RpcAnswer<Pick<Reading, 'nextBlock' | 'lastHash' | 'settled'>>> {
  const span = { from: readAgainFrom(coin, step), until };
  const read = await settledIn(chain, addresses, span, step, signal);
  if (!read.ok) return read;
  return { ok: true, value: { nextBlock: until + 1n, lastHash: read.value.lastHash, settled: read.value.settled } };
}

/** What stands in blocks that are deep enough, if the last of them is the same before and after. */
async function settledIn(
  chain: Chain,
  addresses: readonly string[],
  span: Span,
  step: bigint,
  signal: AbortSignal,
): Promise<RpcAnswer<{ lastHash: string; settled: Payment[] }>> {
  const last = await chain.block(span.until, signal);
  if (!last.ok) return last;
  if (!last.value) return absent(span.until);
  const settled = await paymentsIn(chain, addresses, span, step, signal);
  if (!settled.ok) return settled;
  const again = await chain.block(span.until, signal);
  if (!again.ok) return again;
  if (again.value?.hash !== last.value.hash) return absent(span.until);
  return { ok: true, value: { lastHash: last.value.hash, settled: settled.value } };
}

/** What one look reads of blocks that have been read for others already. Answers the payments, and what it has read. */
export async function catchUp(
  chain: Chain,
  unread: Unread,
  step: bigint,
  signal: AbortSignal,
): Promise<RpcAnswer<{ settled: Payment[]; read: Unread }>> {
  const most = unread.from + blocksAtOnce(step) - 1n;
  const read = { ...unread, until: most < unread.until ? most : unread.until };
  const found = await settledIn(chain, unread.addresses, read, step, signal);
  return found.ok ? { ok: true, value: { settled: found.value.settled, read } } : found;
}

const blocksAtOnce = (step: bigint): bigint =>
  step * QUESTIONS_AT_ONCE < MAX_BLOCKS ? step * QUESTIONS_AT_ONCE : MAX_BLOCKS;

/** One question more, however narrow questions are. What is found twice is credited once. */
function readAgainFrom({ nextBlock }: ReadCoin, step: bigint): bigint {
  const again = step < READ_AGAIN ? step : READ_AGAIN;
  return nextBlock > again ? nextBlock - again : 0n;
}

const unread = ({ nextBlock, lastHash }: ReadCoin, head: Block): Reading => ({
  head: head.number,
  rewritten: false,
  nextBlock,
  lastHash,
  settled: [],
  awaited: undefined,
});

const rewound = ({ nextBlock }: ReadCoin): Pick<Reading, 'nextBlock' | 'lastHash'> => ({
  nextBlock: nextBlock > REWIND_BLOCKS ? nextBlock - REWIND_BLOCKS : 0n,
  lastHash: undefined,
});

/** Whether the last block that was read for good is the one it was. */
async function stillThere(
  chain: Chain,
  { nextBlock, lastHash }: ReadCoin,
  signal: AbortSignal,
): Promise<RpcAnswer<boolean>> {
  if (lastHash === undefined) return { ok: true, value: true };
  const last = await chain.block(nextBlock - 1n, signal);
  if (!last.ok) return last;
  return last.value ? { ok: true, value: last.value.hash === lastHash } : absent(nextBlock - 1n);
}

/** A node that does not have it is behind, or of another chain: what it says of payments is worth nothing. */
const absent = (number: bigint): RpcAnswer<never> => ({
  ok: false,
  kind: 'nonsense',
  reason: `block ${number} is not there, or not the same twice`,
});

async function paymentsIn(
  chain: Chain,
  addresses: readonly string[],
  { from, until }: Span,
  step: bigint,
  signal: AbortSignal,
): Promise<RpcAnswer<Payment[]>> {
  const found: Payment[] = [];
  for (let first = from; first <= until; first += step) {
    const last = first + step - 1n;
    const some = await chain.payments(addresses, { from: first, until: last < until ? last : until }, signal);
    if (!some.ok) return some;
    found.push(...some.value);
  }
  return { ok: true, value: found };
}
