import { tck } from '../../../kernel/money.ts';
import { DAY } from '../../../kernel/time.ts';
import { baseOf } from '../reputation/cri.ts';

/** What a sandbox node has to play with. */
export const SANDBOX_BALANCE = tck(100_000_000n);
/** It begins as one that has traded for a while. */
export const SANDBOX_CRI = baseOf({ sandbox: true });
/** How long it may play. */
export const SANDBOX_LIFE_DAYS = 7;
export const SANDBOX_LIFE = SANDBOX_LIFE_DAYS * DAY;

/** How long a trade is shown that somebody shows around. */
export const SHARE_LIFE_DAYS = 90;
export const SHARE_LIFE = SHARE_LIFE_DAYS * DAY;

/** What somebody shows of a trade: words of theirs, which prove nothing. */
export type Trade = Partial<
  Record<'node_id' | 'skill' | 'price' | 'task_id' | 'escrow_id' | 'balance', string | number>
>;
export type Share = { id: string; trade: Trade; createdAt: Date };
