import type { Op } from '../../kernel/op.ts';
import { after, MINUTE, SECOND } from '../../kernel/time.ts';
import { book } from './book.ts';
import { LOGS, type Chain } from './chain.ts';
import { MAX_BLOCKS, readOn } from './read.ts';
import { WRONG_CHAIN } from './request.ts';
import type { RpcAnswer, RpcFailure } from './rpc.ts';
import { findCoin, isAnyWatched, watchedAddresses, type ReadCoin } from './store.ts';
import type { PaymentsWorld } from './world.ts';

/** After a failure the chain is left alone for so long, each time twice as long, up to the most. */
const FIRST_REST_MS = 5 * SECOND;
const LONGEST_REST_MS = 2 * MINUTE;

/** What one process remembers of its looks; another that takes over needs none of it. */
type Memory = {
  failures: number;
  restsUntil: Date | undefined;
  /** Blocks that the node is asked about at once: fewer where it refuses, more again where it answers. */
  step: bigint;
  /** The newest block and the last address at the last look: where both are the same there is nothing new. */
  seen: string | undefined;
};

/** Looks at the chain for payments. What it answers is how much was done; it is asked again until that is 0. */
export function createWatch(world: PaymentsWorld): (op: Op) => Promise<number> {
  const memory: Memory = { failures: 0, restsUntil: undefined, step: MAX_BLOCKS, seen: undefined };
  const { db, chain } = world;
  return async (op) => {
    if (!chain || (memory.restsUntil && memory.restsUntil > op.now)) return 0;
    const coin = await findCoin(db, chain.token);
    if (!coin || !(await isAnyWatched(db, chain.token))) return 0;
    const done = await look(world, chain, memory, op, coin);
    if (!done.ok) return rest(world, memory, op, done);
    Object.assign(memory, { failures: 0, restsUntil: undefined });
    return done.value;
  };
}

async function look(
  world: PaymentsWorld,
  chain: Chain,
  memory: Memory,
  op: Op,
  coin: ReadCoin,
): Promise<RpcAnswer<number>> {
  const chainId = await chain.chainId(op.signal);
  if (!chainId.ok) return chainId;
  if (chainId.value !== coin.chainId) return { ok: false, kind: 'nonsense', reason: WRONG_CHAIN };
  const head = await chain.head(op.signal);
  if (!head.ok) return head;
  // After the newest block: what is given out from here on can only be paid in blocks that are newer.
  const addresses = await watchedAddresses(world.db, chain.token);
  const seen = `${head.value.hash} ${addresses.at(-1)}`;
  if (seen === memory.seen) return { ok: true, value: 0 };
  const options = { coin, head: head.value, addresses, confirmations: world.confirmations, step: memory.step };
  const reading = await readOn(chain, options, op.signal);
  if (!reading.ok) return reading;
  memory.step = memory.step * 2n < MAX_BLOCKS ? memory.step * 2n : MAX_BLOCKS;
  const credited = await book(world, op, coin, reading.value);
  const isThrough = reading.value.awaited !== undefined && credited !== undefined;
  memory.seen = isThrough ? seen : undefined;
  return { ok: true, value: isThrough ? credited : 1 };
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
