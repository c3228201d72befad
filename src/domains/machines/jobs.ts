import { defineSweep, type SweepDefinition } from '../../platform/jobs/index.ts';
import type { Machines } from './index.ts';
import { FILL_POOL } from './pool.ts';
import { SAMPLE_EVERY_SECONDS } from './samples.ts';

/** What machines need to have looked after, whether or not anybody asks. */
export const machineSweeps = (
  machines: Pick<Machines, 'sweep' | 'holdBack' | 'refillPool' | 'takeSamples'>,
): readonly SweepDefinition[] => [
  defineSweep({
    name: 'machines.sweep',
    everySeconds: 10,
    runDue: async (op) => (await machines.sweep(op)).removed.length,
  }),
  defineSweep({ name: 'machines.hold-back', everySeconds: 1, runDue: (op) => machines.holdBack(op) }),
  defineSweep({ ...FILL_POOL, everySeconds: 1, runDue: (op) => machines.refillPool(op) }),
  defineSweep({
    name: 'machines.sample',
    everySeconds: SAMPLE_EVERY_SECONDS,
    runDue: (op) => machines.takeSamples(op),
  }),
];
