import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type App } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { Database } from '../../src/platform/db.ts';
import { openInstallation } from '../../src/platform/installation.ts';
import { createLog } from '../../src/platform/log.ts';
import { credit, registerAgent, request, type Agent } from './agent.ts';
import { testDatabase } from './database.ts';

export type TestServer = {
  url: string;
  adminKey: string;
  db: Database;
  /** A registered agent with some money. */
  agent(cents?: number): Promise<Agent>;
  stop(): Promise<void>;
};

/** The whole application in this process, on a database and a data directory of its own. */
export async function testServer(env: Record<string, string> = {}): Promise<TestServer> {
  const database = await testDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'freehold-server-'));
  const config = readConfig({
    FREEHOLD_PORT: '0',
    FREEHOLD_DATA_DIR: dataDir,
    FREEHOLD_RATE_LIMITS: 'off',
    FREEHOLD_POOL_SIZE: '0',
    ...env,
  });
  const installation = await openInstallation(dataDir, config);
  const log = createLog({ level: 'error' });
  const app: App = await startApp({ config, installation, log, ownerUrl: database.ownerUrl, appUrl: database.url });
  const { url } = app;
  const agents: Agent[] = [];
  if (!url) throw new Error('a test server answers requests');
  return {
    url,
    adminKey: installation.adminKey,
    db: database.db,
    async agent(cents = 0) {
      const agent = await registerAgent(url);
      agents.push(agent);
      if (cents > 0) await credit(url, installation.adminKey, agent.accountId, cents);
      return agent;
    },
    async stop() {
      // Machines outlive a server, and nobody will come back for these.
      await Promise.all(agents.map((agent) => removeSandboxes(url, agent)));
      await removeSkills(url, database.db, installation.adminKey);
      await app.stop();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function removeSandboxes(url: string, { key }: Agent): Promise<void> {
  const { body } = await request(url, 'GET', '/v1/sandboxes', { key });
  const ids: string[] = body.sandboxes.map(({ id }: { id: string }) => id);
  await Promise.all(ids.map((id) => request(url, 'DELETE', `/v1/sandboxes/${id}`, { key })));
}

/** Machines of the server's own skills are given back when nobody has called them for long. */
async function removeSkills(url: string, db: Database, key: string): Promise<void> {
  const called = await db.transact((tx) =>
    tx.query(
      `update machines set lease_until = created_at where purpose like 'skill:%' and state = 'running' returning 1`,
    ),
  );
  if (called.length > 0) await request(url, 'POST', '/v1/admin/machines/sweep', { key });
}
