import type { Op } from '../../../kernel/op.ts';
import { defineSweep } from '../../../platform/jobs/index.ts';
import type { GridWorld } from '../world.ts';
import { openSandboxNode } from './open.ts';
import { retireDue } from './retire.ts';
import type { Trade } from './sandbox.ts';
import { findShared, forgetOld, share } from './share.ts';

/** Where developers try the grid: nodes that play, and trades that they show around. */
export function createSandbox(world: GridWorld) {
  return {
    open: (op: Op) => openSandboxNode(world, op),
    retireDue: (op: Op) => retireDue(world, op),
    share: (op: Op, trade: Trade) => share(world, op, trade),
    /** Throws `not_found`. */
    shared: (id: string) => findShared(world, id),
    sweeps: [
      defineSweep({ name: 'grid.retire-sandbox-nodes', everySeconds: 60, runDue: (op) => retireDue(world, op) }),
      defineSweep({ name: 'grid.forget-shares', everySeconds: 3_600, runDue: (op) => forgetOld(world, op) }),
    ],
  };
}
