import type { Block, Chain, Payment, Span } from './chain.ts';
import type { RpcAnswer } from './rpc.ts';
import type { ReadCoin } from './store.ts';

/** Blocks that one look reads at the most; one that has fallen behind goes on at once. */
export const MAX_BLOCKS = 2_000n;
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

/**
 * Reads on from where the last look ended: for good what enough blocks stand on, and, once it is that far, what is
 * newer. An answer counts only if the chain was the same before and after it.
 */
export async function readOn(chain: Chain, options: ReadOptions, signal: AbortSignal): Promise<RpcAnswer<Reading>> {
  const { coin, head, addresses, confirmations, step } = options;
  const same = await stillThere(chain, coin, signal);
  if (!same.ok) return same;
  if (!same.value) return { ok: true, value: { ...unread(coin, head), ...rewound(coin), rewritten: true } };
  const final = head.number - BigInt(confirmations) + 1n;
  const until = final < coin.nextBlock + MAX_BLOCKS ? final : coin.nextBlock + MAX_BLOCKS - 1n;
  let reading = unread(coin, head);
  if (until >= coin.nextBlock) {
    const last = await chain.block(until, signal);
    if (!last.ok) return last;
    if (!last.value) return absent(until);
    const settled = await paymentsIn(chain, addresses, { from: coin.nextBlock, until }, step, signal);
    if (!settled.ok) return settled;
    const again = await chain.block(until, signal);
    if (!again.ok) return again;
    if (again.value?.hash !== last.value.hash) return absent(until);
    reading = { ...reading, nextBlock: until + 1n, lastHash: last.value.hash, settled: settled.value };
  }
  if (reading.nextBlock <= final) return { ok: true, value: reading };
  const awaited = await paymentsIn(chain, addresses, { from: reading.nextBlock, until: head.number }, step, signal);
  return awaited.ok ? { ok: true, value: { ...reading, awaited: awaited.value } } : awaited;
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
