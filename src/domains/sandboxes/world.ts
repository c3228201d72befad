import type { Op } from '../../kernel/op.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database, Tx } from '../../platform/db.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Images, Machines } from '../machines/index.ts';

/** What the verbs of this domain stand on. */
export type SandboxesWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  ledger: Ledger;
  machines: Machines;
  images: Pick<Images, 'resolve'>;
  /** Has the sweep look at once when the transaction is committed. */
  nudge: (tx: Tx) => Promise<void>;
};

/** The same op for what has to be done also when the caller has gone. */
export const steadfast = <O extends Op>(op: O): O => ({ ...op, signal: new AbortController().signal });
