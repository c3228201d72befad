import type { AccountOp } from '../../kernel/op.ts';
import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { OutgoingFetch } from '../../platform/fetch.ts';
import type { Jobs } from '../../platform/jobs/index.ts';
import type { RequestLimits } from '../../platform/limits.ts';
import type { Log } from '../../platform/log.ts';
import type { Identity } from '../identity/index.ts';
import type { Ledger } from '../ledger/index.ts';
import type { Machines } from '../machines/index.ts';
import type { Node } from './nodes/node.ts';
import type { SearchEngine } from './skills/world.ts';

/** How malfeasance is judged: every report is a strike, or one of each reporter that has traded. */
export type ReportPolicy = 'distinct' | 'direct';

export type GridSettings = {
  reportPolicy: ReportPolicy;
  /** Whether levels decide what a node may do. */
  levelGates: boolean;
  /** What another system that names nodes shows; without it none may. */
  syncToken: string | undefined;
  /** What our own programs show that run skills. */
  internalKey: string | undefined;
};

/** What the verbs of the grid stand on. */
export type GridWorld = {
  db: Database;
  clock: Clock;
  log: Log;
  jobs: Pick<Jobs, 'enqueue' | 'nudge'>;
  limits: RequestLimits;
  ledger: Ledger;
  identity: Identity;
  machines: Machines;
  /** Where this server's machines are. */
  place: string;
  /** What the house's skill for it searches the web with. */
  search: SearchEngine | undefined;
  /** Requests to addresses that nodes have named. */
  fetch: OutgoingFetch;
  /** Master secret of this installation. */
  secret: Uint8Array;
  /** How clients reach this server. */
  publicUrl: () => string;
  settings: GridSettings;
};

/** An account that acts as its node. */
export type NodeOp = AccountOp & { readonly node: Node };
