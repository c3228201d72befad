import { writeSync } from 'node:fs';
import type { Code } from '../../src/domains/ledger/index.ts';
import { createLedger } from '../../src/domains/ledger/index.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { work } from './jobs.ts';

// A process of its own, to be killed: does jobs and says each step that the ledger has acknowledged.
const [, , url = '', purse = '', count = ''] = process.argv;
const STDOUT = 1;
const db = openDatabase({ url, onError: () => {} });
await work(createLedger({ db }), purse as Code, { count: Number(count), atOnce: 64 }, (job, step) =>
  writeSync(STDOUT, `${job} ${step}\n`),
);
await db.close();
