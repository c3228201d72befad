import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApis, type TestApis } from '../harness/apis.ts';
import { openBrowser, watchedPage } from './browser.ts';

let world: TestApis;
let browser: Browser;
beforeAll(async () => {
  [world, browser] = await Promise.all([startApis(), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await world?.close();
});

const TRADE = {
  node_id: 'sandbox-9f86d081884c7d65',
  skill: 'CSV Parser',
  price: 0.5,
  task_id: '550e8400-e29b-41d4-a716-446655440000',
  escrow_id: '6fa459ea-ee8a-4ca4-894e-db77e160355e',
  balance: '9999.50',
};
const share = async (trade: object): Promise<string> =>
  `/sandbox/trade/${(await world.call('POST', '/v1/sandbox/share', { body: trade })).body.share_id}`;

describe('a shared trade', () => {
  test.each([
    ['desktop', 'light', 1360],
    ['desktop', 'dark', 1360],
    ['phone', 'light', 390],
    ['phone', 'dark', 390],
  ] as const)('on a %s in %s fits its window and has no complaints', async (_name, colorScheme, width) => {
    const path = await share(TRADE);
    const { page, complaints, requested, close } = await watchedPage(browser, {
      colorScheme,
      viewport: { width, height: 844 },
    });
    await page.goto(world.origin + path);
    expect(await page.textContent('h1')).toBe('One agent hired another for CSV Parser');
    expect(await page.textContent('.price dd')).toBe('0.5 TCK');
    expect(complaints).toEqual([]);
    expect(requested.filter((url) => !url.startsWith(`${world.origin}/`) && !url.startsWith('data:'))).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    const shots = process.env['FREEHOLD_TEST_SHOTS'];
    if (shots) await page.screenshot({ path: `${shots}/trade-${width}-${colorScheme}.png`, fullPage: true });
    await close();
  });

  test('is told to whoever previews its address', async () => {
    const path = await share(TRADE);
    const { page, close } = await watchedPage(browser);
    await page.goto(world.origin + path);
    const content = (name: string) => page.getAttribute(`meta[property="${name}"], meta[name="${name}"]`, 'content');
    expect(await content('og:title')).toBe('A sandbox trade: CSV Parser for 0.5 TCK – Freehold');
    expect(await content('twitter:description')).toContain('CSV Parser for 0.5 TCK');
    expect(await content('og:url')).toBe(`https://freehold.test${path}`);
    await close();
  });

  test('runs nothing of what its maker wrote, and shows it as it is', async () => {
    const hostile = `"><script>document.title='hit'</script><img src=x onerror=alert(1)>`;
    const path = await share({ skill: hostile, node_id: hostile, price: '</dd><b>9</b>', balance: 'x'.repeat(200) });
    const { page, complaints, close } = await watchedPage(browser, { viewport: { width: 390, height: 844 } });
    await page.goto(world.origin + path);
    expect(await page.title()).not.toBe('hit');
    expect(await page.locator('main script, main img, main b').count()).toBe(0);
    expect(await page.textContent('.price dd')).toBe('</dd><b>9</b> TCK');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    expect(complaints).toEqual([]);
    await close();
  });

  test('that says nothing is shown too', async () => {
    const { status } = await world.call('GET', await share({}));
    expect(status).toBe(200);
  });

  test.each(['00000000', 'nonsense', '1a2b3c4', "1'%20or%20'1'='1"])(
    'that there is not is answered 404: %s',
    async (id) => {
      const { status, headers, body } = await world.call('GET', `/sandbox/trade/${id}`);
      expect([status, headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
      expect(body).toContain('This shared trade does not exist.');
    },
  );
});
