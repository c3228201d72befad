/** A process of its own that runs one kind of job: notes the run, and where it is told to hang never ends it. */
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { createJobs, defineJob } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';

const [url, behaviour] = process.argv.slice(2);
if (url === undefined) throw new Error('usage: worker DATABASE_URL [hang]');

const db = openDatabase({ url, onError: () => {} });
const job = defineJob<{ n: number }>({
  name: 'test.crash',
  run: async (_op, { n }) => {
    await db.query('INSERT INTO runs (pid, n) VALUES ($1, $2)', [process.pid, n]);
    if (behaviour === 'hang') await new Promise(() => {});
  },
});
const jobs = createJobs({ url, clock: systemClock, log: createLog({ level: 'silent' }) });
await jobs.start({ jobs: [job], sweeps: [], takes: 'all' });
process.stdout.write('working\n');
