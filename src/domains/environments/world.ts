import type { Clock } from '../../kernel/time.ts';
import type { Op } from '../../kernel/op.ts';
import type { Database } from '../../platform/db.ts';
import type { Jobs } from '../../platform/jobs/index.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Images, Machines } from '../machines/index.ts';
import type { Blobs } from './blobs.ts';

/** What the verbs of this domain work with. */
export type EnvironmentsWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  jobs: Pick<Jobs, 'enqueue'>;
  ledger: Ledger;
  machines: Machines;
  /** Makes images of samples that bring a Dockerfile; without it they are marked. */
  images?: Pick<Images, 'upload' | 'get'> | undefined;
  blobs: Blobs;
};

/** What is written down about work is written also when the work itself is not wanted any more. */
export const recordOp = ({ clock }: Pick<EnvironmentsWorld, 'clock'>, op: Op): Op => ({
  ...op,
  now: clock.now(),
  signal: new AbortController().signal,
});
