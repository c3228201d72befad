import { createServer, type AddressInfo, type Server } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { start } from '../cli/freehold.ts';
import { testDatabase, type TestDatabase } from '../harness/database.ts';

describe('what keeps a server from starting is told in one sentence:', () => {
  let database: TestDatabase;
  let dataDir: string;
  let taken: Server;
  let port: number;
  const freehold = async (env: Record<string, string>) => {
    const settings = {
      HOME: homedir(),
      FREEHOLD_DATA_DIR: dataDir,
      FREEHOLD_DATABASE_URL: database.ownerUrl,
      FREEHOLD_PORT: '0',
      FREEHOLD_POOL_SIZE: '0',
    };
    const { code, err } = await start(['start'], { ...settings, ...env }).ended;
    return { code, err };
  };

  beforeAll(async () => {
    database = await testDatabase();
    dataDir = await mkdtemp(join(tmpdir(), 'freehold-start-'));
    taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, '127.0.0.1', resolve));
    port = (taken.address() as AddressInfo).port;
  });
  afterAll(async () => {
    taken.close();
    await database.drop();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('the port is taken', async () => {
    expect(await freehold({ FREEHOLD_PORT: String(port) })).toEqual({
      code: 1,
      err: `Port ${port} of 127.0.0.1 is taken by another program: end that one, or set FREEHOLD_PORT to another.\n`,
    });
  });

  test('the address is not this host’s', async () => {
    expect(await freehold({ FREEHOLD_HOST: '203.0.113.9' })).toEqual({
      code: 1,
      err: 'Freehold cannot listen on 203.0.113.9 (EADDRNOTAVAIL): set FREEHOLD_HOST to an address of this host.\n',
    });
  });

  test('the database is not there, and its password stays untold', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => void closed.listen(0, '127.0.0.1', resolve));
    const { port: nobody } = closed.address() as AddressInfo;
    await new Promise((resolve) => void closed.close(resolve));
    expect(await freehold({ FREEHOLD_DATABASE_URL: `postgres://me:secret@127.0.0.1:${nobody}/mine` })).toEqual({
      code: 1,
      err: `The database of FREEHOLD_DATABASE_URL cannot be used: connect ECONNREFUSED 127.0.0.1:${nobody}\n`,
    });
  });

  test('the database does not exist', async () => {
    const url = new URL(database.ownerUrl);
    url.pathname = '/nowhere';
    expect(await freehold({ FREEHOLD_DATABASE_URL: url.href })).toEqual({
      code: 1,
      err: 'The database of FREEHOLD_DATABASE_URL cannot be used: database "nowhere" does not exist\n',
    });
  });
});
