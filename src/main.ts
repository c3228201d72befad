/** The server process: settings, database, application, and an orderly end. */
import { startApp } from './app.ts';
import { ConfigError, readConfig, type Config } from './config.ts';
import { CatalogueError } from './domains/models/index.ts';
import { AppError, assert } from './kernel/errors.ts';
import { openInstallation } from './platform/installation.ts';
import { createLog, type Log } from './platform/log.ts';
import { applicationUrl, migrate, probeDatabase } from './platform/migrate.ts';
import { startPostgres } from './platform/postgres/index.ts';

/** How long requests and jobs under way may take after SIGTERM before the process goes all the same. */
const DRAIN_MS = 20_000;

type DatabaseAccess = { ownerUrl: string; appUrl: string; stop(): Promise<void> };

/** The operator's PostgreSQL, or the embedded one; migrated. */
async function openDatabase(config: Config, log: Log): Promise<DatabaseAccess> {
  if (config.databaseUrl) await probeDatabase(config.databaseUrl);
  const embedded = config.databaseUrl ? undefined : await startPostgres({ dataDir: config.dataDir, log });
  const ownerUrl = config.databaseUrl ?? embedded?.ownerUrl;
  assert(ownerUrl, 'a database is given or embedded');
  const applied = await migrate(ownerUrl);
  if (applied.length > 0) log.info({ applied }, 'database migrated');
  const stop = async () => embedded?.stop();
  return { ownerUrl, appUrl: embedded?.appUrl ?? (await applicationUrl(ownerUrl)), stop };
}

async function run(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog({ level: 'info' });
  if (config.unknown.length > 0) log.warn({ settings: config.unknown }, 'settings that this version does not know');
  const installation = await openInstallation(config.dataDir, config);
  if (installation.newAdminKey)
    console.log(`admin key (kept in ${config.dataDir}/admin.key): ${installation.adminKey}`);
  const database = await openDatabase(config, log);
  try {
    const app = await startApp({ config, installation, log, ...database });
    console.log(app.url ? `freehold ready on ${app.url}` : 'freehold worker ready');
    await untilToldToStop(log);
    await app.stop();
  } finally {
    await database.stop();
  }
  log.info('stopped');
}

/** Resolves at the first signal. A second one, or a drain that takes too long, ends the process at once. */
function untilToldToStop(log: Log): Promise<void> {
  return new Promise((resolve) => {
    const told = (signal: string) => {
      log.info({ signal }, 'stopping: finishing what is under way');
      setTimeout(() => process.exit(0), DRAIN_MS).unref();
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(1));
      resolve();
    };
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, told);
  });
}

/** Some errors say what the operator can do about them; of any other the whole is shown. */
function wordsFor(error: unknown): unknown {
  if (error instanceof ConfigError) return `These settings are wrong:\n${error.message}`;
  return error instanceof CatalogueError || error instanceof AppError ? error.message : error;
}

process.on('unhandledRejection', (reason) => {
  console.error('A promise was left alone with its failure, which is a defect of Freehold:', reason);
});

try {
  await run();
  process.exit(0);
} catch (error) {
  console.error(wordsFor(error));
  process.exit(1);
}
