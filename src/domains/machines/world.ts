import type { LimitFunction } from 'p-limit';
import type { Clock } from '../../kernel/time.ts';
import type { Database } from '../../platform/db.ts';
import type { Jobs } from '../../platform/jobs/index.ts';
import type { Authority } from '../../platform/egress/authority.ts';
import type { Log } from '../../platform/log.ts';
import type { MachineDriver } from './drivers/driver.ts';
import type { EnvironmentOf } from './images/index.ts';

/** What the verbs of this domain stand on. */
export type MachinesWorld = {
  db: Database;
  driver: MachineDriver;
  clock: Clock;
  log: Log;
  /** Variables that every process of a machine of an image begins with; none where it is not said. */
  environmentOf?: EnvironmentOf;
  /** How many machines wait ready-made to be asked for; none where it is not said. */
  poolSize?: number;
  /** Vouches for hosts whose requests are changed on the way; without it such requests fail. */
  authority?: Authority;
  /** Those that are asked where names decide; the host's own where none are named. */
  nameServers?: readonly string[];
  /** Machines that are made at a time; the others wait for their turn. */
  makers: LimitFunction;
  /** Where given, the pool is filled up again at once when a machine is taken from it. */
  jobs?: Pick<Jobs, 'nudge'>;
};
