import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { openDatabase, type Database } from '../../src/platform/db.ts';
import { APPLICATION } from '../../src/platform/postgres/roles.ts';
import { TEMPLATE } from './template.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the test server's template database, as its owner. */
    postgresUrl: string;
  }
}

export type TestDatabase = {
  /** The database as the application sees it. */
  db: Database;
  /** As the application role, which may not touch what the ledger has written. */
  url: string;
  /** As the owner, who migrates. */
  ownerUrl: string;
  drop(): Promise<void>;
};

/** A fresh, fully migrated database of its own on the test run's PostgreSQL. */
export async function testDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asOwner(`create database ${name} template ${TEMPLATE}`);
  const ownerUrl = databaseUrl(name);
  const url = databaseUrl(name, APPLICATION);
  const db = openDatabase({ url, onError: () => {} });
  return {
    db,
    url,
    ownerUrl,
    drop: async () => {
      await db.close();
      await asOwner(`drop database ${name} with (force)`);
    },
  };
}

function databaseUrl(name: string, role?: string): string {
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  if (role) url.username = role;
  return url.href;
}

async function asOwner(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl('postgres') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
