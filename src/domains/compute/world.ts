import type { BackupId, ServerId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import type { Clock } from '../../kernel/time.ts';
import type { BlobStore } from '../../platform/blob/index.ts';
import type { Database, Tx } from '../../platform/db.ts';
import type { Log } from '../../platform/log.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Machines, Ssh } from '../machines/index.ts';
import type { RegionId } from './catalogue.ts';

/** What the verbs of this domain stand on. */
export type ComputeWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  ledger: Ledger;
  machines: Machines;
  ssh: Ssh;
  /** Master secret of this installation. */
  secret: Uint8Array;
  /** Addresses that servers may have as their own, first to last. */
  addresses: readonly string[];
  /** The public address of this host, which servers without one of their own are reached at. */
  hostAddress: () => Promise<string | undefined>;
  /** Names where its machines are. */
  place: string;
  /** Where this installation stands, if its operator says. */
  home: RegionId | undefined;
  /** Has a server's machine brought to where its row says, once the transaction has committed. */
  settleLater: (tx: Tx, id: ServerId) => Promise<void>;
  /** Has a backup brought to where its row says, once the transaction has committed. */
  backUpLater: (tx: Tx, id: BackupId) => Promise<void>;
  /** Where backups are kept. */
  blobs: BlobStore;
};

/** The same op for what has to be done also when the caller has gone. */
export const steadfast = <O extends Op>(op: O): O => ({ ...op, signal: new AbortController().signal });
