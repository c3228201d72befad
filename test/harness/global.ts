import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { createLog } from '../../src/platform/log.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { startPostgres } from '../../src/platform/postgres/index.ts';
import { TEMPLATE } from './template.ts';

/** One real PostgreSQL for the whole run; each test file copies its database from a migrated template. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-test-'));
  const postgres = await startPostgres({ dataDir, log: createLog({ level: 'warn' }), life: 'ours' });
  const template = new URL(postgres.ownerUrl);
  template.pathname = `/${TEMPLATE}`;
  await makeDatabase(postgres.ownerUrl);
  await migrate(template.href);
  project.provide('postgresUrl', postgres.ownerUrl);
  return async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}

async function makeDatabase(ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  await client.query(`create database ${TEMPLATE}`);
  await client.end();
}
