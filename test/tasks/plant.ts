import { createLedger, type Ledger } from '../../src/domains/ledger/index.ts';
import { createMachines, type MachineDriver, type Machines } from '../../src/domains/machines/index.ts';
import { openModels } from '../../src/domains/models/index.ts';
import { createTasks, type Tasks } from '../../src/domains/tasks/index.ts';
import type { Clock } from '../../src/kernel/time.ts';
import type { Database } from '../../src/platform/db.ts';
import { createJobs, type Jobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';

/** One process's worth of tasks: what the application wires, as far as tasks need it. */
export type Plant = {
  db: Database;
  ledger: Ledger;
  machines: Machines;
  tasks: Tasks;
  jobs: Jobs;
  /** Starts the queue; `none`: tasks are taken on and wait. */
  start(takes: 'all' | 'none'): Promise<void>;
  stop(): Promise<void>;
};

export type PlantOptions = {
  db: Database;
  url: string;
  driver: MachineDriver;
  clock: Clock;
  /** Origin of a pretended model provider. */
  providerUrl?: string | undefined;
};

export async function plantOf({ db, url, driver, clock, providerUrl }: PlantOptions): Promise<Plant> {
  const log = createLog({ level: 'fatal' });
  const ledger = createLedger({ db });
  const machines = createMachines({ db, driver, clock, log });
  const anthropic = providerUrl === undefined ? {} : { apiKey: 'key', baseUrl: providerUrl };
  const models = await openModels({ providers: { anthropic, openai: {}, openrouter: {}, 'openai-compatible': {} } });
  const jobs = createJobs({ url, clock, log });
  const webhookUrlProblem = (text: string) => (text.startsWith('https://') ? undefined : 'must be an https URL');
  const tasks = createTasks({ db, clock, log, jobs, ledger, machines, models, webhookUrlProblem });
  return {
    db,
    ledger,
    machines,
    tasks,
    jobs,
    start: (takes) => jobs.start({ jobs: tasks.jobs, sweeps: tasks.sweeps, takes }),
    stop: async () => {
      await Promise.all([tasks.stop(), jobs.stop({ timeoutMs: 5_000 })]);
    },
  };
}
