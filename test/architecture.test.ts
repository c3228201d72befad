import { describe, expect, test } from 'vitest';
import budget from './architecture/budget.json' with { type: 'json' };
import {
  ambientReads,
  emptyNames,
  forbiddenImports,
  leftForLater,
  overBudget,
  strayBookings,
  strayQueries,
} from './architecture/rules.ts';
import { readSources, type Source } from './architecture/source.ts';

const source = readSources('src');
// These spell out what is looked for.
const PLANTERS = ['test/architecture', 'test/checks.test.ts'];
const everything = [...source, ...['test', 'bench', 'bin'].flatMap(readSources)].filter(
  ({ path }) => !PLANTERS.some((planter) => path.startsWith(planter)),
);
const planted = (path: string, text: string): Source[] => [{ path, text }];

describe('this repository', () => {
  test('has source files to look at', () => expect(source.length).toBeGreaterThan(50));
  test('imports only along the table', () => expect(forbiddenImports(source)).toEqual([]));
  test('has no drawers and no grand names', () => expect(emptyNames(everything)).toEqual([]));
  test('reads clock and environment only in the platform', () => expect(ambientReads(source)).toEqual([]));
  test('speaks SQL only in stores', () => expect(strayQueries(source)).toEqual([]));
  test('books money only in domains', () => expect(strayBookings(source)).toEqual([]));
  test('leaves nothing for later', () => expect(leftForLater(everything)).toEqual([]));
  test('stays within its size', () => expect(overBudget(source, budget)).toEqual([]));
});

describe('an import against the table is found', () => {
  test.each([
    ['src/kernel/money.ts', `import { sha256 } from '../platform/crypto.ts';`],
    ['src/kernel/money.ts', `import pg from 'pg';`],
    ['src/platform/db.ts', `import { createIdentity } from '../domains/identity/index.ts';`],
    ['src/domains/ledger/post.ts', `import type { Machine } from '../machines/index.ts';`],
    ['src/domains/tasks/task.ts', `import { judge } from '../webhooks/index.ts';`],
    ['src/domains/tasks/task.ts', `import { insertHold } from '../ledger/store.ts';`],
    ['src/domains/tasks/task.ts', `export { insertHold } from '../ledger/store.ts';`],
    ['src/domains/tasks/task.ts', `import {\n  one,\n  two,\n} from '../../apis/contract.ts';`],
    ['src/domains/tasks/task.ts', `const ledger = await import('../ledger/post.ts');`],
    ['src/domains/tasks/task.ts', `import '../ledger/post.ts';`],
    ['src/domains/tasks/store.ts', `import { Kysely } from 'kysely';`],
    ['src/domains/models/call.ts', `import { request } from 'node:https';`],
    ['src/apis/agents/tasks.ts', `import { readTask } from '../../domains/tasks/store.ts';`],
    ['src/apis/agents/tasks.ts', `import type { Db } from '../../platform/db.ts';`],
    ['src/apis/agents/tasks.ts', `import { presentError } from '../admin/errors.ts';`],
    ['src/apis/agents/tasks.ts', `import { serve } from '../serve.ts';`],
    ['src/apis/serve.ts', `import { agentsApi } from './agents/index.ts';`],
    ['src/proxy/index.ts', `import { request } from 'node:http';`],
    ['src/proxy/index.ts', `import { findMachine } from '../domains/machines/store.ts';`],
    ['src/web/page.ts', `import { agentsApi } from '../apis/agents/index.ts';`],
    ['src/cli/task.ts', `import type { Task } from '../domains/tasks/index.ts';`],
    ['src/cli/api.ts', `import { request } from '../platform/fetch.ts';`],
    ['src/cli/api.ts', `import { request } from 'node:http';`],
    ['src/cli/task.ts', `import { z } from 'zod';`],
    ['src/config.ts', `import { systemClock } from './platform/clock.ts';`],
  ])('%s: %s', (path, text) => expect(forbiddenImports(planted(path, text))).toHaveLength(1));

  test.each([
    ['src/domains/tasks/task.ts', `import { hold } from '../ledger/index.ts';`],
    ['src/domains/tasks/task.ts', `// import { hold } from '../ledger/store.ts';`],
    ['src/domains/machines/drivers/oci/index.ts', `import { run } from '../../../../platform/run.ts';`],
    ['src/apis/agents/tasks.ts', `import type { Tasks } from '../../domains/tasks/index.ts';`],
    ['src/cli/follow.ts', `import { SECOND } from '../kernel/time.ts';`],
    ['src/app.ts', `import { openDatabase } from './platform/db.ts';`],
    ['src/domains/tasks/task.test.ts', `import { testDatabase } from '../../../test/harness/database.ts';`],
  ])('and one along it is not: %s: %s', (path, text) => expect(forbiddenImports(planted(path, text))).toEqual([]));
});

describe('a planted violation is found', () => {
  test.each([
    'src/platform/utils.ts',
    'src/domains/ledger/helpers/money.ts',
    'src/domains/ledger/types.ts',
    'src/common/a.ts',
  ])('the drawer %s', (path) => expect(emptyNames(planted(path, ''))).toHaveLength(1));

  test.each(['class CardService {}', 'export type TaskManager = {};', 'const dateHelper = 1; const DateHelper = 1;'])(
    'the grand name in %s',
    (text) => expect(emptyNames(planted('src/domains/ledger/a.ts', text)).length).toBeGreaterThan(0),
  );

  test.each(['const now = Date.now();', 'const now = new Date();', 'if (process.env.DEBUG) {}', 'performance.now()'])(
    'outside the platform: %s',
    (text) => {
      expect(ambientReads(planted('src/domains/ledger/post.ts', text))).toHaveLength(1);
      expect(ambientReads(planted('src/platform/clock.ts', text))).toEqual([]);
    },
  );

  test.each([
    'await db.query(text);',
    'await tx.query<Row>(text);',
    "db.tables<T>().selectFrom('a')",
    'const text = `select 1`;',
    "const text = 'delete from accounts';",
  ])('SQL outside a store: %s', (text) => {
    expect(strayQueries(planted('src/domains/ledger/post.ts', text))).toHaveLength(1);
    expect(strayQueries(planted('src/apis/agents/tasks.ts', text))).toHaveLength(1);
    expect(strayQueries(planted('src/domains/ledger/store.ts', text))).toEqual([]);
  });

  test.each(['await ledger.submit(op, transfer)', 'const transfer = { id, legs: [from, to] };'])(
    'money booked in a handler: %s',
    (text) => {
      expect(strayBookings(planted('src/apis/agents/credits.ts', text))).toHaveLength(1);
      expect(strayBookings(planted('src/domains/ledger/credit.ts', text))).toEqual([]);
    },
  );

  test.each(['// TODO: later', '/* FIXME */', 'const x = 1; // XXX'])('work left for later: %s', (text) =>
    expect(leftForLater(planted('src/app.ts', text))).toHaveLength(1),
  );
});

describe('a size beyond the budget is found', () => {
  const small = { fileLines: 10, functionLines: 5, larger: {} };
  const file = (lines: number): string => 'const x = 1;\n'.repeat(lines);
  const body = (lines: number): string => '  call();\n'.repeat(lines);

  test('in a file', () => {
    expect(overBudget(planted('src/a.ts', file(10)), small)).toEqual([]);
    expect(overBudget(planted('src/a.ts', file(11)), small)).toEqual(['src/a.ts has 11 lines, more than 10']);
  });

  test.each([
    ['function a() {\n', '}\n'],
    ['export async function a(\n  b: string,\n): Promise<void> {\n', '}\n'],
    ['const a = async () => {\n', '};\n'],
    ['  async a(b) {\n', '  },\n'],
  ])('in a function: %j', (head, tail) => {
    expect(overBudget(planted('src/a.ts', head + body(3) + tail), small)).toEqual([]);
    expect(overBudget(planted('src/a.ts', head + body(4) + tail), small)).toHaveLength(1);
  });

  test('and what the budget allows in addition may only shrink', () => {
    const generous = { ...small, larger: { 'src/a.ts': 20 } };
    expect(overBudget(planted('src/a.ts', file(20)), generous)).toEqual([]);
    expect(overBudget(planted('src/a.ts', file(21)), generous)).toHaveLength(1);
    expect(overBudget(planted('src/a.ts', file(15)), generous)).toEqual(['src/a.ts has shrunk: set its budget to 15']);
    expect(overBudget(planted('src/a.ts', file(5)), generous)).toEqual([
      'src/a.ts needs no place in the budget any more',
    ]);
    expect(overBudget([], generous)).toEqual(['src/a.ts needs no place in the budget any more']);
  });
});
