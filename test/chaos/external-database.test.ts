import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../../bin/server-process.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { applicationUrl } from '../../src/platform/migrate.ts';
import { registerAgent, request } from '../harness/agent.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

const ADMIN_KEY = 'an-operator-of-tests';

describe('an operator’s own PostgreSQL', () => {
  let database: TestDatabase;
  let dataDir: string;
  let servers: ServerProcess[];
  const start = (roles: string) =>
    startServer({
      FREEHOLD_DATABASE_URL: database.ownerUrl,
      FREEHOLD_DATA_DIR: dataDir,
      FREEHOLD_PORT: '0',
      FREEHOLD_POOL_SIZE: '0',
      FREEHOLD_ROLES: roles,
      FREEHOLD_ADMIN_KEY: ADMIN_KEY,
    });

  beforeAll(async () => {
    database = await testDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'freehold-external-'));
    servers = [await start('all'), await start('api')];
  });
  afterAll(async () => {
    for (const server of servers) expect(await server.stop()).toBe(0);
    await database.drop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('serves several processes as one: a key made at one opens the other until it is revoked', async () => {
    const [first, second] = servers.map((server) => server.url) as [string, string];
    const agent = await registerAgent(first);
    expect((await request(second, 'GET', '/v1/keys', { key: agent.key })).status).toBe(200);
    expect((await request(first, 'DELETE', `/v1/keys/${agent.keyId}`, { key: agent.key })).status).toBe(200);
    expect((await request(second, 'GET', '/v1/keys', { key: agent.key })).status).toBe(401);
  });

  test('is worked on as a role that owns nothing and may not write to the ledger', async () => {
    const served = openDatabase({ url: await applicationUrl(database.ownerUrl), onError: () => {} });
    expect(await served.query(`select current_user::text as role`)).toEqual([{ role: 'freehold_app' }]);
    await expect(served.query(`update ledger_accounts set posted = 1`)).rejects.toThrow('permission denied');
    await served.close();
  });
});
