import { createHash } from 'node:crypto';
import { REVENUE, type Code, type Ledger } from '../../src/domains/ledger/index.ts';
import { uuidFrom, type TransferId } from '../../src/kernel/ids.ts';
import type { Money } from '../../src/kernel/money.ts';
import { systemOp } from '../harness/op.ts';
import { payment, reservation } from './world.ts';

/** What one job costs: a payment of 1, and 3 posted of a hold of 5. */
export const JOB_COST = 4n;
/** The steps of a job, in order. */
export const STEPS = ['pay', 'hold', 'post'] as const;
export type StepName = (typeof STEPS)[number];

const idOf = (purse: Code, job: number, step: StepName): TransferId =>
  uuidFrom(createHash('sha256').update(`${purse} ${job} ${step}`).digest()) as TransferId;

/** A step of a job. The same job and step has the same id in every process and at every time. */
export function doStep(ledger: Ledger, purse: Code, job: number, step: StepName): Promise<{ outcome: string }> {
  const op = systemOp();
  if (step === 'pay') return ledger.submit(op, payment(purse, REVENUE, 1n, idOf(purse, job, 'pay')));
  const id = idOf(purse, job, 'hold');
  if (step === 'hold') return ledger.submitHold(op, { ...reservation(purse, REVENUE, 5n), id });
  return ledger.submitResolution(op, id, { kind: 'post', amount: 3n as Money });
}

/**
 * Does jobs one after the other, many at once, and tells of each step as soon as it is acknowledged. Each
 * worker ends at its first failure, and the first of those is thrown.
 */
export async function work(
  ledger: Ledger,
  purse: Code,
  jobs: { count: number; atOnce: number },
  acknowledged: (job: number, step: StepName) => void,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < jobs.count) {
      const job = next++;
      for (const step of STEPS) {
        await doStep(ledger, purse, job, step);
        acknowledged(job, step);
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: jobs.atOnce }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
