import type { Op } from '../../../kernel/op.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import { createCourt } from '../escrow/court.ts';
import type { GridWorld, NodeOp } from '../world.ts';
import { ask, suiteMissing } from './ask.ts';
import { judgeDue, look } from './judge.ts';
import { verifiedSkills } from './store.ts';
import { findSuite, SUITES } from './suite.ts';

/** Skills that one look at a suite shows. */
const MAX_VERIFIED = 100;

/** Questions with known answers, by which anybody can put a skill to the test for nothing. */
export function createBenchmarks(world: GridWorld) {
  const judging = { ...world, court: createCourt() };
  return {
    suites: SUITES,
    /** A suite, and the skills that have passed it. Throws `not_found`. */
    suite: async (id: string) => {
      const suite = findSuite(id);
      if (!suite) throw suiteMissing(id);
      return { suite, verified: await verifiedSkills(world.db, id, MAX_VERIFIED) };
    },
    run: (op: NodeOp, suiteId: string, skillId: string) => ask(world, op, suiteId, skillId),
    look: (op: Op, runId: string) => look(judging, op, runId),
    judgeDue: (op: Op) => judgeDue(judging, op),
    sweeps: [defineSweep({ name: 'grid.judge-benchmarks', everySeconds: 15, runDue: (op) => judgeDue(judging, op) })],
  };
}
