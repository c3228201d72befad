/** A process of its own that uses the embedded PostgreSQL of a data directory until it is told to stop. */
import { createLog } from '../../src/platform/log.ts';
import { startPostgres } from '../../src/platform/postgres/index.ts';

const [dataDir, life] = process.argv.slice(2);
if (dataDir === undefined) throw new Error('usage: holder DATA_DIR [ours]');

const postgres = await startPostgres({
  dataDir,
  log: createLog({ level: 'silent' }),
  life: life === 'ours' ? 'ours' : 'own',
});
process.on('SIGTERM', () => void postgres.stop().then(() => process.exit(0)));
process.stdout.write(
  `${JSON.stringify({ pid: postgres.pid, ownerUrl: postgres.ownerUrl, appUrl: postgres.appUrl })}\n`,
);
