/** What there is of something for everybody, and the most of it that one may have. */
export type Shares<Who> = {
  /** False where that would be too much; then nothing is taken. */
  take(who: Who, amount?: number): boolean;
  give(who: Who, amount?: number): void;
  /** What one has just now. */
  of(who: Who): number;
};

/**
 * Shares out what all callers together must not exceed. While half of it is free, anybody may have `each`; from then
 * on nobody has more than an equal part of that half, so that a few who take all they can leave the others theirs.
 */
export function createShares<Who>({ each, all }: { each: number; all: number }): Shares<Who> {
  const held = new Map<Who, number>();
  const half = all / 2;
  let total = 0;
  const of = (who: Who): number => held.get(who) ?? 0;
  const set = (who: Who, amount: number): void => {
    total += amount - of(who);
    if (amount > 0) held.set(who, amount);
    else held.delete(who);
  };
  return {
    of,
    take(who, amount = 1) {
      const wanted = of(who) + amount;
      const callers = held.size + (held.has(who) ? 0 : 1);
      const isCrowded = total + amount > half;
      if (wanted > each || total + amount > all || (isCrowded && wanted > Math.max(amount, half / callers)))
        return false;
      set(who, wanted);
      return true;
    },
    give: (who, amount = 1) => set(who, Math.max(0, of(who) - amount)),
  };
}
