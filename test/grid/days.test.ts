import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AnalyticsShown } from '../../src/apis/grid/analytics.ts';
import { eventually, request } from '../harness/agent.ts';
import { testServer, type TestServer } from '../harness/server.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { complete, must } from './trades.ts';

/** Days on the real server: its sweeps write them down, and its clock is moved. */

const DAY_MS = 86_400_000;
const DAY_SECONDS = 86_400;
const TABLES = ['cri', 'daily_active', 'escrows', 'funnel', 'nodes', 'tasks'] as const;
const HEADINGS: Record<(typeof TABLES)[number], string> = {
  cri: 'date,node_id,base,tx_score,diversity_score,volume_score,age_score,buyer_score,genesis_bonus,dispute_penalty,concentration_penalty,strike_penalty,decay_factor,settled_total,unique_counterparties,total_volume_tck,age_days,cri_before,cri_after',
  daily_active: 'date,sandbox,country,tasks_created,tasks_completed,tck_spent,tck_earned',
  escrows: 'date,status,count,volume_tck',
  funnel: 'date,event,country,count',
  nodes: 'date,sandbox,country,count',
  tasks: 'date,protocol,provider,status,count',
};

let server: TestServer;
/** Noon of the day after this one, so that no test runs over midnight. */
let noon: Date;
beforeAll(async () => {
  server = await testServer({ FREEHOLD_TEST_CLOCK: 'on' });
  noon = new Date(Math.ceil(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2);
  must(await admin('POST', '/v1/admin/clock', { set: noon.toISOString() }));
});
afterAll(() => server?.stop());

const admin = (method: string, path: string, body?: unknown) =>
  request(server.url, method, path, { key: server.adminKey, ...(body !== undefined && { body }) });
const advance = async (seconds: number) => must(await admin('POST', '/v1/admin/clock', { advance_seconds: seconds }));
const dayAfter = (days: number): string => new Date(noon.getTime() + days * DAY_MS).toISOString().slice(0, 10);

type Rows = Record<string, string | number | boolean | null>[];
const json = async (table: string, query = ''): Promise<{ data: Rows; count: number }> =>
  must(await admin('GET', `/v1/admin/export/${table}${query}`));
const csv = async (table: string, query = ''): Promise<string> => {
  const reply = await admin('GET', `/v1/admin/export/${table}/csv${query}`);
  expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8; header=present']);
  return reply.body;
};
const FORMULA = /^[-=+@]/;
const written = (cell: string | number | boolean | null | undefined): string =>
  typeof cell === 'string' && FORMULA.test(cell) ? `'${cell}` : String(cell ?? '');

/** The file says what the JSON says, as a parser reads it that is not ours. */
async function expectSame(table: string, query = ''): Promise<Rows> {
  const [{ data, count }, text] = await Promise.all([json(table, query), csv(table, query)]);
  const read: Record<string, string>[] = parse(text, { columns: true });
  expect(count).toBe(data.length);
  expect(read).toEqual(
    data.map((row) => Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, written(cell)]))),
  );
  return data;
}

describe('before anybody has come', () => {
  test.each(TABLES)('the export %s has headings and nothing below them', async (table) => {
    expect(await json(table, '?period=all')).toEqual({ table, period: 'all', data: [], count: 0 });
    expect(await csv(table, '?period=all')).toBe(`${HEADINGS[table]}\r\n`);
  });

  test.each(['today', '7d', '30d', 'quarter', 'year', 'all'])('the figures of %s are zero', async (period) => {
    const figures = must(await admin('GET', `/v1/admin/analytics?period=${period}`));
    expect(AnalyticsShown.safeParse(figures).error).toBeUndefined();
    expect(figures).toMatchObject({
      period,
      range: { end: dayAfter(0) },
      nodes: { total: 0, active_buyers: 0 },
      tasks: { created: 0, completion_rate: 0, top_skills: [] },
      economy: { gmv_tck: 0, settle_rate: 0 },
      cri: {},
    });
  });
});

describe('after some days', () => {
  let buyer: TestNode;
  let seller: TestNode;
  let skill: string;
  const order = async () =>
    must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} })).task_id;

  beforeAll(async () => {
    [buyer, seller] = [await registerNode(server, 'a-buyer'), await registerNode(server, '-1-1')];
    skill = await publish(seller, { price: 5, label: '=HYPERLINK("http://x")' });
    const { api_key: played } = must(await request(server.url, 'POST', '/v1/sandbox/nodes', { body: {} }));
    expect(played).toMatch(/^bn_/);
    for (let n = 0; n < 2; n++) must(await complete(seller, await order()));
    await advance(DAY_SECONDS + 3_600);
    must(await complete(seller, await order()));
    const disputed = await order();
    must(await complete(seller, disputed));
    must(await buyer.call('POST', '/v1/tasks/dispute', { task_id: disputed, reason: 'No' }));
    await order();
    await advance(4 * DAY_SECONDS);
    must(await admin('POST', '/v1/admin/analytics/snapshot'));
  }, 60_000);

  const days = () =>
    server.db.query<Record<string, number | bigint | string> & { day: string; taken_at: Date; over: Date }>(
      `select g.*, g.day::text as day, (g.day + 1)::timestamp at time zone 'UTC' as over from grid_days g order by g.day`,
    );

  test('each day on which something happened is one row, taken once more when it was over', async () => {
    const rows = await days();
    const byDay = new Map(rows.map((row) => [row.day, row]));
    expect(byDay.get(dayAfter(0))).toMatchObject({
      new_nodes: 2,
      active_nodes: 2,
      first_trades: 1,
      skills: 1,
      tasks_created: 2,
      tasks_completed: 2,
      escrows: 2,
      locked: 100_000n,
      settled: 0,
    });
    expect(byDay.get(dayAfter(1))).toMatchObject({
      new_nodes: 0,
      first_trades: 0,
      tasks_created: 3,
      tasks_completed: 2,
      locked: 150_000n,
      settled: 2,
      volume: 100_000n,
      tax: 3_000n,
      disputed: 1,
    });
    // The clock has jumped over the days between: what was due on them was done when it stopped.
    expect(byDay.get(dayAfter(5))).toMatchObject({ settled: 1, refunded: 1, nodes: 2 });
    const past = rows.filter(({ day }) => day < dayAfter(5));
    expect(past.every(({ taken_at: at, over }) => at >= over)).toBe(true);
  });

  test('what sandbox nodes play is in no day but in their own figure', async () => {
    expect((await days()).every(({ nodes }) => Number(nodes) <= 2)).toBe(true);
    expect(await json('nodes', '?period=all')).toMatchObject({
      data: [
        { date: dayAfter(0), sandbox: false, country: null, count: 2 },
        { date: dayAfter(0), sandbox: true, country: null, count: 1 },
      ],
    });
  });

  test('a day is taken as often as one likes, also by many at once, and stays one row', async () => {
    const before = await days();
    const replies = await Promise.all(Array.from({ length: 6 }, () => admin('POST', '/v1/admin/analytics/snapshot')));
    for (const reply of replies) expect(must(reply)).toEqual({ date: dayAfter(5), rows: 1 });
    const [rows, nodeDays] = [
      await days(),
      await server.db.query(`select * from grid_node_days where day = $1`, [dayAfter(5)]),
    ];
    expect([rows.length, nodeDays.length]).toEqual([before.length, 1]);
  });

  test('what happens later on a day is in it when it is taken again', async () => {
    await order();
    must(await admin('POST', '/v1/admin/analytics/snapshot'));
    const [today] = (await days()).slice(-1);
    expect(today).toMatchObject({ day: dayAfter(5), tasks_created: 1, locked: 50_000n });
  });

  test('the server takes today anew by itself', async () => {
    await order();
    await advance(1_200);
    await eventually(days, (rows) => rows.at(-1)?.['tasks_created'] === 2);
  });

  test.each(TABLES)('the export %s says in CSV what it says in JSON', async (table) => {
    for (const period of ['7d', '30d', 'all']) {
      const rows = await expectSame(table, `?period=${period}`);
      expect(rows.length).toBeGreaterThan(0);
      expect(Object.keys(rows[0] ?? {}).join(',')).toBe(HEADINGS[table]);
      const dates = rows.map(({ date }) => String(date));
      expect(dates).toEqual(dates.toSorted((a, b) => a.localeCompare(b)));
    }
  });

  test('exports count and sum what is there', async () => {
    const escrows = await json('escrows');
    expect(escrows.data).toContainEqual({ date: dayAfter(0), status: 'SETTLED', count: 2, volume_tck: 10 });
    expect(escrows.data).toContainEqual({ date: dayAfter(1), status: 'DISPUTED', count: 1, volume_tck: 5 });
    expect((await json('tasks')).data).toContainEqual({
      date: dayAfter(1),
      protocol: 'grid',
      provider: null,
      status: 'REFUNDED',
      count: 1,
    });
    expect((await json('funnel')).data).toEqual([
      { date: dayAfter(0), event: 'first_trade', country: null, count: 1 },
      { date: dayAfter(0), event: 'register', country: null, count: 2 },
    ]);
    expect((await json('daily_active')).data).toContainEqual({
      date: dayAfter(1),
      sandbox: false,
      country: null,
      tasks_created: 0,
      tasks_completed: 2,
      tck_spent: 0,
      tck_earned: 9.7,
    });
  });

  test('an index is told with what it was before, and a name that looks like a formula is only text', async () => {
    const rows = (await json('cri')).data.filter(({ node_id: id }) => id === '-1-1');
    expect(rows.length).toBeGreaterThan(1);
    expect(rows[0]).toMatchObject({ cri_before: 30, base: 30 });
    for (const [n, row] of rows.entries()) if (n > 0) expect(row['cri_before']).toBe(rows[n - 1]?.['cri_after']);
    const { cri_score: now } = must(await request(server.url, 'GET', '/v1/nodes/-1-1/cri'));
    expect(rows.at(-1)?.['cri_after']).toBe(now);
    expect(await csv('cri')).toContain(",'-1-1,30,");
  });

  test('analytics are what the database says, and its trend what the days say', async () => {
    const figures = must(await admin('GET', '/v1/admin/analytics?period=7d'));
    expect(AnalyticsShown.safeParse(figures).error).toBeUndefined();
    expect(figures).toMatchObject({
      range: { start: dayAfter(-2), end: dayAfter(5) },
      nodes: { total: 2, new: 2, sandbox_total: 1, sandbox_new: 1, active_buyers: 1, active_sellers: 1 },
      tasks: {
        created: 7,
        completed: 4,
        completion_rate: 0.5714,
        by_protocol: { grid: 7 },
        top_skills: [{ skill: '=HYPERLINK("http://x")', count: 7 }],
      },
      economy: {
        gmv_tck: 15,
        tax_collected_tck: 0.45,
        vault_balance_tck: 0.95,
        settled: 3,
        refunded: 1,
        disputed: 1,
        settle_rate: 0.6,
      },
      skills: { total: 1, published_in_period: 1 },
      genesis: { filled: 0, total_slots: 200, fill_rate: 0 },
      funnel: {
        registrations: 2,
        first_trades: 1,
        sandbox_trades: 0,
        sandbox_to_register: 0,
        conversion_sandbox_to_register: 0,
        conversion_register_to_trade: 0.5,
      },
    });
    expect(figures.cri.snapshots).toBe((await json('cri')).count);
    expect(figures.daily_trend).toContainEqual({ date: dayAfter(1), active_nodes: 2, tasks: 3, tck_volume: 15 });
    expect(figures.daily_trend.at(-1)).toEqual({ date: dayAfter(5), active_nodes: 2, tasks: 2, tck_volume: 10 });
    const today = must(await admin('GET', '/v1/admin/analytics'));
    expect(today).toMatchObject({ period: 'today', tasks: { created: 2 }, nodes: { new: 0, active_buyers: 1 } });
  });

  test('an export goes on through as many rows as there are, and ends where it is told to', async () => {
    await server.db.transact(async (tx) => {
      await tx.query(
        `insert into grid_days select d::date, now(), ${Array.from({ length: 15 }, () => '0').join(', ')}
           from generate_series($1::date - 300, $1::date - 10, interval '1 day') d`,
        [dayAfter(0)],
      );
      await tx.query(
        `insert into grid_node_days (day, node_id, sandbox, tasks_created, tasks_completed, spent, earned)
         select d.day, n.id, n.sandbox, 1, 2, 30000, 12345 from grid_days d, grid_nodes n where d.day < $1`,
        [dayAfter(-9)],
      );
    });
    // 291 days, three nodes each, more than are read at once with those that were there before.
    const rows = await expectSame('daily_active', '?period=year');
    expect(rows.length).toBeGreaterThan(291 * 3);
    expect(rows[0]).toMatchObject({ date: dayAfter(-300), tck_spent: 3, tck_earned: 1.2345 });
    for (const limit of [1, 200, 201, 872]) {
      const { data, count } = await json('daily_active', `?period=year&limit=${limit}`);
      expect([count, data.length]).toEqual([limit, limit]);
      expect(data).toEqual(rows.slice(0, limit));
      expect((await csv('daily_active', `?period=year&limit=${limit}`)).split('\r\n').length).toBe(limit + 2);
    }
  });

  test('a reader who leaves half-way leaves nothing behind', async () => {
    const gone = new AbortController();
    const reply = await fetch(`${server.url}/v1/admin/export/daily_active/csv?period=year`, {
      headers: { authorization: `Bearer ${server.adminKey}` },
      signal: gone.signal,
    });
    expect(reply.status).toBe(200);
    gone.abort();
    expect((await json('daily_active', '?period=year')).count).toBeGreaterThan(800);
  });
});

describe('an export', () => {
  test.each(['unknown', 'TASKS', 'tasks;', 'accounts'])(
    'of %s is refused with the tables that there are',
    async (table) => {
      for (const path of [`/v1/admin/export/${table}`, `/v1/admin/export/${table}/csv`])
        expect(await admin('GET', path)).toMatchObject({
          status: 400,
          body: { detail: 'Invalid table. Choose from: cri, daily_active, escrows, funnel, nodes, tasks' },
        });
    },
  );

  test.each(['period=24h', 'period=', 'limit=0', 'limit=-1', 'limit=1000001', 'limit=ten'])(
    'with ?%s is refused',
    async (query) => {
      expect((await admin('GET', `/v1/admin/export/tasks?${query}`)).status).toBe(422);
      expect((await admin('GET', `/v1/admin/export/tasks/csv?${query}`)).status).toBe(422);
    },
  );

  test('is a file by the name of what it has', async () => {
    const { headers } = await admin('GET', '/v1/admin/export/tasks/csv?period=quarter');
    expect(headers.get('content-disposition')).toBe('attachment; filename="grid_tasks_quarter.csv"');
    expect(headers.get('vmp-version')).toBe('2026-03-18');
  });
});
