import { decodeFunctionResult, encodeFunctionData } from 'viem/utils';
import { z } from 'zod';
import type { Rpc, RpcAnswer, RpcFailure } from './rpc.ts';
import { MAX_SYMBOL_LENGTH, type Coin } from './topup.ts';

/** Addresses that one question may name; nodes take no endless lists. */
const ADDRESSES_AT_ONCE = 500;
const MAX_DECIMALS = 36;
const SYMBOL = new RegExp(`^[!-~]{1,${MAX_SYMBOL_LENGTH}}$`);

/** What may be too much to ask at once. */
export const LOGS = 'eth_getLogs';

/** `Transfer(address,address,uint256)` of ERC-20, as the first topic of its logs names it. */
const TRANSFER = '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef';

const TOKEN_ABI = [
  { type: 'function', name: 'symbol', stateMutability: 'view', inputs: [], outputs: [{ type: 'string' }] },
  { type: 'function', name: 'decimals', stateMutability: 'view', inputs: [], outputs: [{ type: 'uint8' }] },
] as const;

type Hex = `0x${string}`;

const Quantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,64}$/i)
  .transform(BigInt);
const Hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((text) => text.toLowerCase());
const Bytes = z.string().regex(/^0x([0-9a-f]{2})*$/i);
/** No chain has had more; a larger one could not even be kept. */
const Height = Quantity.refine((number) => number <= BigInt(Number.MAX_SAFE_INTEGER));
const BlockShown = z.object({ number: Height, hash: Hash });
const LogShown = z.object({
  address: z.string().transform((text) => text.toLowerCase()),
  topics: z.tuple([Hash, Hash, Hash]),
  data: z
    .string()
    .regex(/^0x[0-9a-f]{64}$/i)
    .transform(BigInt),
  blockNumber: Height,
  blockHash: Hash,
  transactionHash: Hash,
  logIndex: Quantity.transform(Number).pipe(z.int().max(2_147_483_647)),
  removed: z.boolean().optional(),
});

export type Block = { number: bigint; hash: string };
export type Span = { from: bigint; until: bigint };

/** One movement of the coin to an address of ours. */
export type Payment = { txHash: string; logIndex: number; block: Block; to: string; units: bigint };

/** What a node tells of its chain. Whatever cannot be true is a failure and not an answer. */
export type Chain = {
  token: string;
  chainId(signal: AbortSignal): Promise<RpcAnswer<number>>;
  /** What the coin's contract says of itself. */
  describe(signal: AbortSignal): Promise<RpcAnswer<Pick<Coin, 'symbol' | 'decimals'>>>;
  head(signal: AbortSignal): Promise<RpcAnswer<Block>>;
  /** Undefined where the node has no such block. */
  block(number: bigint, signal: AbortSignal): Promise<RpcAnswer<Block | undefined>>;
  /** Payments to these addresses in these blocks, in their order. */
  payments(to: readonly string[], span: Span, signal: AbortSignal): Promise<RpcAnswer<Payment[]>>;
};

export function createChain(rpc: Rpc, token: string): Chain {
  const call = (functionName: 'symbol' | 'decimals', signal: AbortSignal) =>
    rpc(
      'eth_call',
      [{ to: token, data: encodeFunctionData({ abi: TOKEN_ABI, functionName }) }, 'latest'],
      Bytes,
      signal,
    );
  return {
    token,
    chainId: (signal) => rpc('eth_chainId', [], Quantity.transform(Number).pipe(z.int().positive()), signal),
    async describe(signal) {
      const symbol = await call('symbol', signal);
      if (!symbol.ok) return symbol;
      const decimals = await call('decimals', signal);
      return decimals.ok ? described(symbol.value, decimals.value) : decimals;
    },
    head: (signal) => rpc('eth_getBlockByNumber', ['latest', false], BlockShown, signal),
    async block(number, signal) {
      const found = await rpc('eth_getBlockByNumber', [hex(number), false], BlockShown.nullable(), signal);
      if (!found.ok) return found;
      if (found.value && found.value.number !== number) return nonsense('another block than was asked for');
      return { ok: true, value: found.value ?? undefined };
    },
    async payments(to, span, signal) {
      const found: Payment[] = [];
      for (let first = 0; first < to.length; first += ADDRESSES_AT_ONCE) {
        const some = to.slice(first, first + ADDRESSES_AT_ONCE);
        const filter = {
          address: token,
          fromBlock: hex(span.from),
          toBlock: hex(span.until),
          topics: [TRANSFER, null, some.map(topicOf)],
        };
        const logs = await rpc(LOGS, [filter], z.array(LogShown), signal);
        if (!logs.ok) return logs;
        // Anybody can have a token tell of nothing that was sent, to any address.
        const payments = logs.value.flatMap((log) => (log.removed || log.data === 0n ? [] : [paymentOf(log)]));
        const isAsked = ({ to: address, block: { number } }: Payment) =>
          some.includes(address) && number >= span.from && number <= span.until;
        const isOurs = logs.value.every(({ address, topics }) => address === token && topics[0] === TRANSFER);
        if (!isOurs || !payments.every(isAsked)) return nonsense('logs that were not asked for');
        found.push(...payments);
      }
      return { ok: true, value: found.toSorted(inOrder) };
    },
  };
}

/** A contract that describes itself in another way is no coin that we know how to count. */
function described(symbol: string, decimals: string): RpcAnswer<Pick<Coin, 'symbol' | 'decimals'>> {
  try {
    const coin = {
      symbol: decodeFunctionResult({ abi: TOKEN_ABI, functionName: 'symbol', data: symbol as Hex }),
      decimals: decodeFunctionResult({ abi: TOKEN_ABI, functionName: 'decimals', data: decimals as Hex }),
    };
    if (SYMBOL.test(coin.symbol) && coin.decimals <= MAX_DECIMALS) return { ok: true, value: coin };
  } catch {
    // What cannot be decoded is worded like what makes no sense.
  }
  return nonsense('the contract of FREEHOLD_EVM_TOKEN is no ERC-20 token with a symbol and decimals');
}

const nonsense = (reason: string): RpcFailure => ({ ok: false, kind: 'nonsense', reason });

const paymentOf = (log: z.output<typeof LogShown>): Payment => ({
  txHash: log.transactionHash,
  logIndex: log.logIndex,
  block: { number: log.blockNumber, hash: log.blockHash },
  to: `0x${log.topics[2].slice(-ADDRESS_DIGITS)}`,
  units: log.data,
});

const ADDRESS_DIGITS = 40;
const TOPIC_DIGITS = 64;

const topicOf = (address: string): string => `0x${address.slice(2).padStart(TOPIC_DIGITS, '0')}`;
const hex = (number: bigint): string => `0x${number.toString(16)}`;

const inOrder = (one: Payment, other: Payment): number =>
  Number(one.block.number - other.block.number) || one.logIndex - other.logIndex;
