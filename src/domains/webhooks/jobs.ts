import { HOUR, SECOND } from '../../kernel/time.ts';
import { defineSweep, type SweepDefinition } from '../../platform/jobs/index.ts';
import type { Webhooks } from './index.ts';

/** How late a message may be beside the time it takes to deliver it. */
const DELIVER_EVERY_SECONDS = 1;
const FORGET_EVERY_SECONDS = HOUR / SECOND;

export const webhookSweeps = (webhooks: Pick<Webhooks, 'deliverDue' | 'forgetOld'>): SweepDefinition[] => [
  defineSweep({
    name: 'webhooks.deliver',
    everySeconds: DELIVER_EVERY_SECONDS,
    runDue: (op) => webhooks.deliverDue(op),
  }),
  defineSweep({
    name: 'webhooks.forget',
    everySeconds: FORGET_EVERY_SECONDS,
    runDue: (op) => webhooks.forgetOld(op),
  }),
];
