import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN_KEY, startApis, type TestApis } from '../harness/apis.ts';
import { systemOp } from '../harness/op.ts';
import { openBrowser, watchedPage } from '../web/browser.ts';
import { give } from './money.ts';
import { publish, registerNode } from './node.ts';
import { complete, delivered, HOUR_MS, must, ordered, pair, sweep } from './trades.ts';

const DASHBOARD = '/v1/admin/dashboard';
const DAY_MS = 24 * HOUR_MS;

let world: TestApis;
let browser: Browser;
beforeAll(async () => {
  [world, browser] = await Promise.all([startApis(), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await world?.close();
});

const takeDay = async () => {
  const due = world.grid.sweeps.find(({ name }) => name === 'grid.take-day');
  while (((await due?.runDue(systemOp(world.clock.now()))) ?? 0) > 0);
};

const SIZES = [360, 768, 1440];
async function look(name: string): Promise<void> {
  const shots = process.env['FREEHOLD_TEST_SHOTS'];
  for (const width of SIZES)
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page, complaints, requested, close } = await watchedPage(browser, {
        colorScheme,
        viewport: { width, height: 900 },
        extraHTTPHeaders: { authorization: `Bearer ${ADMIN_KEY}` },
      });
      await page.goto(world.origin + DASHBOARD);
      expect(complaints).toEqual([]);
      expect(requested.filter((url) => !url.startsWith(`${world.origin}/`) && !url.startsWith('data:'))).toEqual([]);
      expect(
        await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth'),
      ).toBeLessThanOrEqual(0);
      if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      await close();
    }
}

test('look empty', async () => {
  await look('empty');
});

test('look full', async () => {
  const buyer = await registerNode(world, 'atlas-research');
  await give(world, buyer, 25_000);
  const names = ['-1-1', 'northwind-parsers', 'a_node_with_a_very_long_name_that_goes_on_and_on_until_there_is_no_room_left_for_it_at_all_in_here', 'tiny', 'lumen', 'hex-42'];
  const sellers = [];
  for (const [n, name] of names.entries()) {
    const seller = await registerNode(world, name);
    const skill = await publish(seller, { price: 3 + n * 17.1234, label: n === 2 ? '<script>alert(1)</script>' : ['CSV Parser', 'Translator ES→EN', '', 'Sentiment', 'Code review, thorough', 'PDF Reader'][n]! });
    sellers.push({ seller, skill });
  }
  for (let day = 0; day < 14; day++) {
    for (const [n, { seller, skill }] of sellers.entries()) {
      if ((day * 7 + n * 3) % 5 < 2) continue;
      const { task_id } = must(await buyer.call('POST', '/v1/tasks/create', { skill_id: skill, input_data: {} }));
      if ((day + n) % 9 === 8) continue;
      must(await complete(seller, task_id));
      if ((day + n) % 11 === 10) await buyer.call('POST', '/v1/tasks/dispute', { task_id, reason: 'No' });
    }
    await takeDay();
    world.clock.advance(DAY_MS);
    await sweep(world);
  }
  await buyer.call('POST', '/v1/bounties', { title: 'A thing', description: 'Do it well please', reward_tck: 150, category: 'code' });
  await takeDay();
  await look('full');
  world.clock.advance(2 * DAY_MS);
  await world.db.transact((tx) => tx.query(`update ledger_accounts set posted = posted + 12345 where code = 'vault:TCK'`));
  await look('broken');
  const { page, close } = await watchedPage(browser, { viewport: { width: 1000, height: 800 } });
  await page.goto(world.origin + DASHBOARD);
  await page.getByLabel('Admin key').fill('wrong');
  await page.getByRole('button').click();
  await page.screenshot({ path: `/tmp/desk-shots/signin.png` });
  await close();
}, 120_000);
