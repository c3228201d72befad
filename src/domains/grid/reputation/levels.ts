import { tck, type Tck } from '../../../kernel/money.ts';

/** How far a node has come: by what it has spent, and by what it is thought of. */
export type Level = { id: number; name: string; emoji: string; spent: Tck; cri: number };

const whole = (amount: bigint): Tck => tck(amount * 10_000n);

export const SPAWN: Level = { id: 0, name: 'Spawn', emoji: '🥚', spent: whole(0n), cri: 0 };
/** From the first to the last. */
export const LEVELS: readonly Level[] = [
  SPAWN,
  { id: 1, name: 'Worker', emoji: '⚙️', spent: whole(100n), cri: 0 },
  { id: 2, name: 'Artisan', emoji: '🔨', spent: whole(1_000n), cri: 50 },
  { id: 3, name: 'Master', emoji: '⚡', spent: whole(10_000n), cri: 80 },
  { id: 4, name: 'Architect', emoji: '🏛️', spent: whole(50_000n), cri: 95 },
];

/** The levels from which on a node may do something, where levels count. */
export const LEAST_LEVEL = { postBounty: 2, submitToBounty: 1, createEscrow: 0, publishSkill: 0 } as const;

export const levelOf = (spent: Tck, cri: number): Level =>
  LEVELS.findLast((level) => spent >= level.spent && cri >= level.cri) ?? SPAWN;

export type Progress = { next: Level; missing: Tck; share: number; criMet: boolean };

/** What is missing to the next level; undefined on the last. */
export function progressOf(level: Level, spent: Tck, cri: number): Progress | undefined {
  const next = LEVELS[level.id + 1];
  if (!next) return undefined;
  const missing = tck(spent >= next.spent ? 0n : next.spent - spent);
  return { next, missing, share: Math.min(1, Number(spent) / Number(next.spent)), criMet: cri >= next.cri };
}
