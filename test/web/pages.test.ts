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

const PAGES = ['/', '/docs', '/docs/custom-requests', '/claim', '/claim#some-token'];
const SIZES = [
  { name: 'desktop', width: 1360, height: 900 },
  { name: 'phone', width: 390, height: 844 },
];
const VIEWS = PAGES.flatMap((path) =>
  SIZES.flatMap((size) =>
    (['light', 'dark'] as const).map((scheme) => ({ path, size, scheme, view: `${size.name}, ${scheme}` })),
  ),
);

test.each(VIEWS)(
  '$path ($view) loads nothing from elsewhere, fits its window and has no complaints',
  async ({ path, size, scheme }) => {
    const { page, complaints, requested, close } = await watchedPage(browser, { colorScheme: scheme, viewport: size });
    await page.goto(world.origin + path);
    expect(complaints).toEqual([]);
    expect(requested.filter((url) => !url.startsWith(`${world.origin}/`) && !url.startsWith('data:'))).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    const [background, ink] = await page.evaluate<[string, string]>(
      'Object.values((({ backgroundColor, color }) => ({ backgroundColor, color }))(getComputedStyle(document.body)))',
    );
    expect(brightness(background) > brightness(ink)).toBe(scheme === 'light');
    await close();
  },
);

const brightness = (rgb: string): number => (rgb.match(/\d+/g) ?? []).map(Number).reduce((sum, part) => sum + part, 0);

test.each(['/', '/docs', '/docs/custom-requests', '/claim'])('every link of %s leads somewhere', async (path) => {
  const { page, close } = await watchedPage(browser);
  await page.goto(world.origin + path);
  const links = await page.evaluate<string[]>('[...document.links].map((link) => link.getAttribute("href"))');
  expect(links.length).toBeGreaterThan(3);
  for (const link of new Set(links)) {
    const [target = '', anchor] = link.split('#');
    if (target !== '') expect([link, (await fetch(new URL(target, world.origin))).status]).toEqual([link, 200]);
    if (anchor) expect([link, await page.locator(`[id="${anchor}"]`).count()]).toEqual([link, 1]);
  }
  await close();
});

test('a page runs no script that is not its own', async () => {
  const { page, complaints, close } = await watchedPage(browser);
  await page.goto(`${world.origin}/claim#token`);
  await page.evaluate(
    `document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.injected = true' }))`,
  );
  expect(await page.evaluate('window.injected')).toBeUndefined();
  expect(complaints).toEqual([expect.stringContaining('Content Security Policy')]);
  await close();
});

describe('the documentation', () => {
  test('shows every route and finds those that fit what is typed', async () => {
    const { page, close } = await watchedPage(browser, { viewport: { width: 1360, height: 900 } });
    await page.goto(`${world.origin}/docs`);
    const routes = world.apis.flatMap((api) => api.routes.filter(({ aliasOf }) => !aliasOf));
    expect(await page.locator('article.call').count()).toBe(routes.length);
    await page.getByLabel('Find a route').fill('POST tasks');
    const visible = page.locator('.contents li[data-search]:visible');
    const wanted = routes.filter(({ method, path }) => method === 'POST' && path.includes('tasks'));
    expect(await visible.count()).toBe(wanted.length);
    await visible.first().click();
    expect(await page.locator('article.call:target h3').textContent()).toBe(wanted[0]?.summary);
    await page.getByLabel('Find a route').fill('no such thing');
    expect(await page.getByText('No route fits.').isVisible()).toBe(true);
    await close();
  });

  test('keeps its contents folded on a phone until they are asked for', async () => {
    const { page, close } = await watchedPage(browser, { viewport: { width: 390, height: 844 } });
    await page.goto(`${world.origin}/docs`);
    expect(await page.getByLabel('Find a route').isVisible()).toBe(false);
    await page.getByText('Contents', { exact: true }).click();
    await page.getByRole('link', { name: 'Webhooks' }).first().click();
    expect(await page.getByLabel('Find a route').isVisible()).toBe(false);
    expect(page.url()).toContain('#webhooks');
    await close();
  });
});

describe('claiming an account', () => {
  const claimPath = async (key: string): Promise<string> => {
    const { body } = await world.call('POST', '/v1/account/claim-link', { key });
    const { pathname, hash } = new URL(body.claim_url);
    return pathname + hash;
  };

  test('a person follows the link, chooses e-mail and password, and has the account', async () => {
    const agent = await world.register();
    const path = await claimPath(agent.key);
    const { page, complaints, requested, close } = await watchedPage(browser);
    await page.goto(world.origin + path);
    await page.getByLabel('E-mail address').fill('ada@example.com');
    await page.getByLabel('Password').fill('correct horse battery');
    await page.getByRole('button', { name: 'Claim the account' }).click();
    await page.getByText(`The account ${agent.accountId} is now yours, as ada@example.com.`).waitFor();
    expect(await page.getByRole('button').isVisible()).toBe(false);
    expect(page.url()).toBe(`${world.origin}/claim`);
    const [, token = ''] = path.split('#');
    expect(token.length).toBeGreaterThan(20);
    expect(requested.filter((url) => url.includes(token) && !url.includes('#'))).toEqual([]);
    expect((await world.call('GET', '/v1/account', { key: agent.key })).body).toMatchObject({
      claimed: true,
      kind: 'agent',
    });
    expect(complaints).toEqual([]);
    await close();
  });

  test('a link that does not hold is told in the server’s words, and can be tried again', async () => {
    const { page, close } = await watchedPage(browser);
    await page.goto(`${world.origin}/claim#${'x'.repeat(43)}`);
    await page.getByLabel('E-mail address').fill('ada@example.com');
    await page.getByLabel('Password').fill('correct horse battery');
    const answered = page.waitForResponse('**/v1/account/claim');
    await page.getByRole('button', { name: 'Claim the account' }).click();
    const { error } = (await (await answered).json()) as { error: string };
    await page.getByRole('status').getByText(error).waitFor();
    expect(await page.getByRole('button').isEnabled()).toBe(true);
    await close();
  });

  test('what cannot be right is not sent', async () => {
    const { page, requested, close } = await watchedPage(browser);
    await page.goto(`${world.origin}/claim#${'x'.repeat(43)}`);
    await page.getByLabel('E-mail address').fill('ada@example.com');
    await page.getByLabel('Password').fill('short');
    await page.getByRole('button', { name: 'Claim the account' }).click();
    await page.getByRole('status').getByText('Password:').waitFor();
    expect(requested.some((url) => url.includes('/v1/'))).toBe(false);
    await close();
  });

  test('without a token there is nothing to fill in', async () => {
    const { page, close } = await watchedPage(browser);
    await page.goto(`${world.origin}/claim`);
    await page.getByText('This link has no token.').waitFor();
    expect(await page.getByRole('button').isVisible()).toBe(false);
    await close();
  });
});
