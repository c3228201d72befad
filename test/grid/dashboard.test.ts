import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shortDecimals } from '../../src/domains/grid/index.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { openBrowser, watchedPage } from '../web/browser.ts';
import { give, units } from './money.ts';
import { publish, registerNode, type TestNode } from './node.ts';
import { complete, HOUR_MS, must, sweep } from './trades.ts';

const DASHBOARD = '/v1/admin/dashboard';
const DAY_MS = 24 * HOUR_MS;
const SIZES = [360, 768, 1440];
const HOSTILE = '</title><script>document.title = "taken"</script><img src=x onerror=alert(1)>';
const LONG_NAME = `a_node_with_a_name_${'that_goes_on_and_'.repeat(4)}ends`;

let world: TestApis;
let browser: Browser;
beforeAll(async () => {
  [world, browser] = await Promise.all([startApis(), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await world?.close();
});

/** Writes down the days that are due, as the sweep does. */
async function takeDays(): Promise<void> {
  const due = world.grid.sweeps.find(({ name }) => name === 'grid.take-day');
  while (((await due?.runDue(systemOp(world.clock.now()))) ?? 0) > 0);
}

/** Does what is due on a day, and goes on to the next. */
async function endDay(): Promise<void> {
  await takeDays();
  world.clock.advance(DAY_MS);
  await sweep(world);
}

/** The dashboard as the operator's browser shows it. */
async function open(width = 1440, colorScheme: 'light' | 'dark' = 'light') {
  const watched = await watchedPage(browser, {
    colorScheme,
    viewport: { width, height: 900 },
    extraHTTPHeaders: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  await watched.page.goto(world.origin + DASHBOARD);
  return watched;
}

const figure = async (page: Page, name: string): Promise<string> =>
  (await page.textContent(`[data-figure="${name}"]`))?.replaceAll(/\s+/g, ' ').trim() ?? '';
const grouped = (amount: bigint): string => {
  const [whole, decimals] = shortDecimals(amount).split('.');
  return `${Number(whole).toLocaleString('en-US')}.${decimals} TCK`;
};

async function expectWellMade(name: string): Promise<void> {
  const shots = process.env['FREEHOLD_TEST_SHOTS'];
  for (const width of SIZES)
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, complaints, requested, close } = await open(width, colorScheme);
      expect(complaints).toEqual([]);
      expect(requested.filter((url) => url !== world.origin + DASHBOARD && !url.startsWith('data:'))).toEqual([]);
      expect(
        await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth'),
      ).toBeLessThanOrEqual(0);
      if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      await close();
    }
}

describe('of an empty grid', () => {
  test('it fits every window, loads nothing from elsewhere and has no complaints', () => expectWellMade('empty'));

  test('it says that there is nothing, and that the books add up', async () => {
    const { page, close } = await open();
    expect([await figure(page, 'nodes'), await figure(page, 'minted'), await figure(page, 'settle-rate')]).toEqual([
      '0',
      '0.00 TCK',
      '–',
    ]);
    expect(await page.getByText('The books add up').isVisible()).toBe(true);
    expect(await page.getByText('Nothing waits for you.').isVisible()).toBe(true);
    expect(await page.getByText('Nothing has been settled.').isVisible()).toBe(true);
    await close();
  });
});

describe('of a grid that has traded for days', () => {
  let buyer: TestNode;
  let sellers: TestNode[];

  beforeAll(async () => {
    buyer = await registerNode(world, 'atlas-research');
    await give(world, buyer, 25_000);
    const sandbox = await world.call('POST', '/v1/sandbox/nodes', { body: {} });
    expect(sandbox.status).toBe(200);
    const offers: { seller: TestNode; skill: string }[] = [];
    for (const [name, label] of [
      ['northwind-parsers', 'CSV Parser'],
      [LONG_NAME, HOSTILE],
      ['lumen', 'Translator ES→EN'],
      ['-1-1', '=1+1'],
    ] as const) {
      const seller = await registerNode(world, name);
      const price = 3 + offers.length * 17.1234;
      offers.push({ seller, skill: await publish(seller, { price, label }) });
    }
    sellers = offers.map(({ seller }) => seller);
    for (let day = 0; day < 6; day++) {
      for (const [n, { seller, skill }] of offers.entries()) {
        if ((day * 7 + n * 3) % 5 < 2) continue;
        const { task_id: id } = must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} }));
        // One is never delivered, and one is objected to.
        if ((day + n) % 9 === 8) continue;
        must(await complete(seller, id));
        if ((day + n) % 7 === 6) must(await buyer.call('POST', '/v1/tasks/dispute', { task_id: id, reason: 'No' }));
      }
      await endDay();
    }
    const bounty = { title: 'A thing', description: 'Do it well please', reward_tck: 150, category: 'code' };
    must(await buyer.call('POST', '/v1/bounties', bounty));
  }, 120_000);

  const sum = async (text: string): Promise<{ count: number; amount: bigint }> => {
    const [row] = await world.db.query<{ count: number; amount: bigint }>(text);
    return row ?? { count: 0, amount: 0n };
  };

  test('it fits every window with the longest names, and has no complaints', () => expectWellMade('full'));

  test('its tasks, escrows and bounties are those in the database', async () => {
    const { page, close } = await open();
    for (const status of ['OPEN', 'IN_PROGRESS', 'COMPLETED', 'SETTLED', 'DISPUTED', 'REFUNDED']) {
      const { count } = await sum(`select count(*)::int as count from grid_tasks where status = '${status}'`);
      expect([status, await figure(page, `tasks-${status}`)]).toEqual([status, String(count)]);
    }
    for (const state of ['PENDING', 'AWAITING_SETTLEMENT', 'SETTLED', 'DISPUTED', 'REFUNDED']) {
      const { count, amount } = await sum(
        `select count(*)::int as count, coalesce(sum(amount), 0)::bigint as amount from grid_escrows where state = '${state}'`,
      );
      expect([state, await figure(page, `escrows-${state}`), await figure(page, `escrows-${state}-tck`)]).toEqual([
        state,
        String(count),
        grouped(amount),
      ]);
    }
    expect([await figure(page, 'bounties-open'), await figure(page, 'bounties-open-tck')]).toEqual(['1', '150.00 TCK']);
    await close();
  });

  test('its sums over the days are those of the ledger', async () => {
    const { page, close } = await open();
    const settled = await sum(
      `select count(*)::int as count, sum(amount)::bigint as amount from grid_escrows where state = 'SETTLED'`,
    );
    const tax = await sum(
      `select 0 as count, sum(e.posted_delta)::bigint as amount from ledger_entries e
         join ledger_accounts a on a.id = e.account_id join ledger_transfers t on t.id = e.transfer_id
        where a.code = 'vault:TCK' and coalesce(e.type, t.type) = 'PROTOCOL_TAX'`,
    );
    const places = await world.db.query<{ kind: string; posted: bigint }>(
      `select kind, sum(posted)::bigint as posted from ledger_accounts where currency = 'TCK' group by kind`,
    );
    const posted = (kind: string) => places.find((place) => place.kind === kind)?.posted ?? 0n;
    expect(settled.count).toBeGreaterThan(5);
    expect(await figure(page, 'volume')).toBe(grouped(settled.amount));
    expect(await figure(page, 'tax')).toBe(grouped(tax.amount));
    expect(await figure(page, 'vault')).toBe(grouped(posted('vault')));
    expect(await figure(page, 'minted')).toBe(grouped(-posted('mint')));
    expect(await figure(page, 'books-wallets')).toBe(grouped(posted('wallet')));
    expect(await figure(page, 'books-escrow')).toBe(grouped(posted('escrow')));
    expect(await figure(page, 'books-bounties')).toBe(grouped(units(150)));
    await close();
  });

  test('nodes are shown with what they have earned, without those that only play', async () => {
    const { page, close } = await open();
    expect(await figure(page, 'nodes')).toBe(String(sellers.length + 1));
    expect(await page.getByText('1 sandbox').isVisible()).toBe(true);
    const rows = await world.db.query<{ id: string; earned: bigint }>(
      `select seller_id as id, sum(amount - amount * 300 / 10000)::bigint as earned
         from grid_escrows where state = 'SETTLED' group by seller_id`,
    );
    expect(rows.length).toBe(sellers.length);
    for (const { id, earned } of rows) expect(await figure(page, `earned-${id}`)).toBe(grouped(earned));
    await close();
  });

  test('a chart has a bar for each day with what was settled on it', async () => {
    const { page, close } = await open();
    const chart = page.locator('svg[aria-label="Volume settled, by day"] g');
    expect(await chart.count()).toBe(30);
    const days = await world.db.query<{ day: string; count: number; amount: bigint }>(
      `select to_char(settled_at at time zone 'UTC', 'FMDD Mon') as day, count(*)::int as count, sum(amount)::bigint as amount
         from grid_escrows where state = 'SETTLED' group by 1`,
    );
    const titles = await chart.locator('title').allTextContents();
    for (const { day, count, amount } of days)
      expect(titles).toContainEqual(
        expect.stringContaining(`${day}: ${grouped(amount)} in ${count} escrow${count === 1 ? '' : 's'}`),
      );
    expect(titles.filter((title) => !title.includes(': 0.00 TCK')).length).toBe(days.length);
    await close();
  });

  test('names that nodes have chosen are only text', async () => {
    const { page, complaints, close } = await open();
    expect(await page.getByText(HOSTILE).isVisible()).toBe(true);
    expect(await page.title()).toBe('The grid – Freehold');
    expect(await page.locator('img, script').count()).toBe(0);
    expect(complaints).toEqual([]);
    await close();
  });

  test('it says what waits for the operator: disputes, and what nobody settles', async () => {
    const { page, close } = await open();
    const { count } = await sum(`select count(*)::int as count from grid_escrows where state = 'DISPUTED'`);
    expect(count).toBeGreaterThan(0);
    expect(await page.getByText(`${count} dispute${count === 1 ? '' : 's'} to decide`).isVisible()).toBe(true);
    expect(await page.getByText('overdue').count()).toBe(0);
    await close();
    const skill = await publish(sellers[0]!, { price: 7 });
    const { task_id: id } = must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} }));
    must(await complete(sellers[0]!, id));
    await takeDays();
    world.clock.advance(DAY_MS + HOUR_MS);
    const later = await open();
    expect(await later.page.getByText('1 escrow overdue to be settled').isVisible()).toBe(true);
    expect(await later.page.title()).toBe('⚠ The grid – Freehold');
    await later.close();
    await sweep(world);
  });

  test('what happened late yesterday is in its sums, though nobody has written it down', async () => {
    world.clock.advance(DAY_MS - 1);
    const { page, close } = await open();
    const settled = await sum(
      `select count(*)::int as count, sum(amount)::bigint as amount from grid_escrows where state = 'SETTLED'`,
    );
    expect(await figure(page, 'volume')).toBe(grouped(settled.amount));
    await close();
  });

  test('it is loaded anew every minute, by the browser alone', async () => {
    const { page, close } = await open();
    expect(await page.getAttribute('meta[http-equiv="refresh"]', 'content')).toBe('60');
    await close();
  });

  test('books that do not add up are not to be overlooked', async () => {
    const owner = openDatabase({ url: world.ownerUrl, onError: () => {} });
    const change = (by: number) =>
      owner.query(`update ledger_accounts set posted = posted + $1 where code = 'vault:TCK'`, [by]);
    await change(12_345);
    const { page, close } = await open();
    expect(await page.getByRole('alert').getByText('The books do not add up').isVisible()).toBe(true);
    expect(await figure(page, 'discrepancy')).toBe('1.2345 TCK');
    expect(await page.title()).toBe('⚠ The books do not add up – Freehold');
    await close();
    // The proof is made now and then; what it finds is shown with where it found it.
    world.clock.advance(HOUR_MS);
    const later = await open();
    expect(await later.page.getByText('a balance is the sum of its entries').isVisible()).toBe(true);
    await later.close();
    await expectWellMade('broken');
    await change(-12_345);
    await owner.close();
    world.clock.advance(HOUR_MS);
    const mended = await open();
    expect(await mended.page.getByText('The books add up').isVisible()).toBe(true);
    await mended.close();
  });
});
