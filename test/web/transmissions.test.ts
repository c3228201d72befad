import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createShelf } from '../../src/web/transmissions/shelf.ts';
import { startApis, type TestApis } from '../harness/apis.ts';
import { openBrowser, watchedPage } from './browser.ts';

const PUBLIC = 'https://freehold.test';
let world: TestApis;
let browser: Browser;
let dir: string;

const post = (front: string, text = 'Some words.') => `---\n${front}\n---\n${text}\n`;
const FILES: Record<string, string> = {
  'first.md': post('title: The first\nauthor: Ada Löve\ndate: 2026-03-01', 'One & two **words** <b>here</b>.\n\nMore.'),
  'second_One.md': post(
    'title: "Second & <last>"\nauthor: Ada Löve\ndate: 2026-03-18T12:30:00Z\nsummary: In short, & <so on>.',
    [
      '# Head',
      '<script>alert(1)</script> <img src=x onerror=alert(1)>',
      '[bad](javascript:alert(1)) [good](https://example.com/a?b=1&c=2) ![a picture](https://example.com/x.png)',
      '| a | b |\n|---|---|\n| 1 | 2 |',
      '> quoted\n\n- one\n- two\n\n```js\nconst x = "<b>";\n```',
    ].join('\n\n'),
  ),
  'other.md': post('title: Другое\nauthor: 编辑\ndate: 2026-02-01'),
  'later.md': post('title: Not yet\nauthor: Ada Löve\ndate: 2999-01-01'),
  'no-front.md': 'No front matter',
  'no-title.md': post('author: Ada\ndate: 2026-01-01'),
  'bad-date.md': post('title: x\nauthor: Ada\ndate: yesterday'),
  'bad name!.md': post('title: x\nauthor: Ada\ndate: 2026-01-01'),
  'bomb.md': post('a: &a [x,x]\nb: &b [*a,*a]\ntitle: *b\nauthor: A\ndate: 2026-01-01'),
  'notes.txt': 'not a post',
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'freehold-transmissions-'));
  await Promise.all(Object.entries(FILES).map(([name, text]) => writeFile(join(dir, name), text)));
  await mkdir(join(dir, 'folder.md'));
  [world, browser] = await Promise.all([startApis({ transmissionsDir: dir }), openBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await world?.close();
  await rm(dir, { recursive: true, force: true });
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(world.origin + path, { headers });

describe('the list', () => {
  test('has what is out, the newest first, and nothing that is not', async () => {
    const { page, complaints, close } = await watchedPage(browser);
    await page.goto(`${world.origin}/transmissions`);
    expect(await page.locator('h2').allTextContents()).toEqual(['Second & <last>', 'The first', 'Другое']);
    expect(await page.locator('.summary').allTextContents()).toEqual([
      'In short, & <so on>.',
      'One & two words <b>here</b>.',
      'Some words.',
    ]);
    expect(complaints).toEqual([]);
    for (const href of await page.evaluate<string[]>('[...document.links].map((link) => link.getAttribute("href"))'))
      expect([href, (await get(href)).status]).toEqual([href, 200]);
    await close();
  });

  test('of an author has what that author wrote, with and without a slash at its end', async () => {
    for (const path of ['/transmissions/author/ada-love/', '/transmissions/author/ada-love']) {
      const text = await (await get(path)).text();
      expect(text).toContain('The first');
      expect(text).not.toContain('Другое');
      expect(text).toContain(`<link rel="canonical" href="${PUBLIC}/transmissions/author/ada-love/"`);
    }
  });

  test('tells of the feed', async () => {
    const text = await (await get('/transmissions')).text();
    expect(text).toContain(`<link rel="alternate" type="application/rss+xml" href="${PUBLIC}/transmissions/rss.xml"`);
  });
});

describe('one of them', () => {
  test('is shown as it is written, and its markup is text', async () => {
    const { page, complaints, requested, close } = await watchedPage(browser, {
      viewport: { width: 360, height: 800 },
    });
    await page.goto(`${world.origin}/transmissions/second_One`);
    expect(await page.locator('main script, main img').count()).toBe(0);
    expect(await page.textContent('.prose')).toContain('<script>alert(1)</script>');
    const links = await page.evaluate<string[]>(
      '[...document.querySelectorAll(".prose a")].map((link) => link.getAttribute("href"))',
    );
    expect(links).toEqual(['https://example.com/a?b=1&c=2', 'https://example.com/x.png']);
    expect(await page.locator('.prose table td').allTextContents()).toEqual(['1', '2']);
    expect(await page.textContent('.prose pre')).toBe('const x = "<b>";\n');
    expect(await page.getAttribute('meta[property="og:type"]', 'content')).toBe('article');
    expect(await page.getAttribute('meta[property="og:url"]', 'content')).toBe(`${PUBLIC}/transmissions/second_One`);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    expect([complaints, requested.length]).toEqual([[], 1]);
    await close();
  });

  test.each([
    'later',
    'no-front',
    'no-title',
    'bad-date',
    'bomb',
    'folder',
    'notes',
    'nonsense',
    '..%2f..%2fetc%2fpasswd',
  ])('that there is not, or not yet, is answered 404: %s', async (slug) => {
    const reply = await get(`/transmissions/${slug}`);
    expect([reply.status, reply.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
  });
});

describe('the feed', () => {
  test('is RSS 2.0 with absolute addresses and real dates', async () => {
    const reply = await get('/transmissions/rss.xml');
    expect(reply.headers.get('content-type')).toBe('application/rss+xml; charset=utf-8');
    const text = await reply.text();
    expect(XMLValidator.validate(text)).toBe(true);
    const { rss } = new XMLParser({ ignoreAttributes: false, processEntities: true }).parse(text);
    expect(rss['@_version']).toBe('2.0');
    expect(rss.channel).toMatchObject({
      title: expect.any(String),
      link: `${PUBLIC}/transmissions`,
      description: expect.any(String),
      lastBuildDate: 'Wed, 18 Mar 2026 12:30:00 GMT',
      'atom:link': { '@_href': `${PUBLIC}/transmissions/rss.xml`, '@_rel': 'self' },
    });
    expect(rss.channel.item[0]).toEqual({
      title: 'Second & <last>',
      link: `${PUBLIC}/transmissions/second_One`,
      guid: { '#text': `${PUBLIC}/transmissions/second_One`, '@_isPermaLink': 'true' },
      pubDate: 'Wed, 18 Mar 2026 12:30:00 GMT',
      'dc:creator': 'Ada Löve',
      description: 'In short, & <so on>.',
    });
    expect(rss.channel.item.map(({ pubDate }: { pubDate: string }) => new Date(pubDate).toUTCString())).toEqual(
      rss.channel.item.map(({ pubDate }: { pubDate: string }) => pubDate),
    );
  });

  test('is not sent again to whoever has it, and is when there is more', async () => {
    const etag = (await get('/transmissions/rss.xml')).headers.get('etag') ?? '';
    expect((await get('/transmissions/rss.xml', { 'if-none-match': etag })).status).toBe(304);
    await writeFile(join(dir, 'more.md'), post('title: More\nauthor: Ada Löve\ndate: 2026-03-19'));
    const changed = await get('/transmissions/rss.xml', { 'if-none-match': etag });
    expect([changed.status, (await changed.text()).includes('/transmissions/more<')]).toEqual([200, true]);
    await rm(join(dir, 'more.md'));
  });
});

describe('the shelf', () => {
  test('tells once of each file that cannot be shown, and again when it was changed', async () => {
    const told: string[] = [];
    const shelf = createShelf({ dir, onBadFile: (file) => void told.push(file.slice(dir.length + 1)) });
    const now = new Date('2026-04-01');
    await shelf.posts(now);
    await shelf.posts(now);
    expect(told.toSorted()).toEqual([
      'bad name!.md',
      'bad-date.md',
      'bomb.md',
      'folder.md',
      'no-front.md',
      'no-title.md',
    ]);
    await utimes(join(dir, 'bomb.md'), now, now);
    await shelf.posts(now);
    expect(told).toHaveLength(7);
  });

  test('has what is shipped where the operator has written nothing', async () => {
    const told: string[] = [];
    const shelf = createShelf({ dir: '/nonexistent', onBadFile: (_file, reason) => void told.push(reason) });
    const posts = await shelf.posts(new Date('2027-01-01'));
    expect(posts.map(({ slug }) => slug)).toEqual(['agents-hire-agents']);
    expect(told).toEqual([]);
  });
});

describe('as it is shipped', () => {
  let shipped: TestApis;
  beforeAll(async () => void (shipped = await startApis()));
  afterAll(() => shipped?.close());

  test.each(
    ['/transmissions', '/transmissions/agents-hire-agents', '/transmissions/author/freehold/'].flatMap((path) =>
      [360, 1280].flatMap((width) => (['light', 'dark'] as const).map((scheme) => ({ path, width, scheme }))),
    ),
  )('$path fits $width pixels in $scheme, and its links lead somewhere', async ({ path, width, scheme }) => {
    shipped.clock.advance(0);
    const viewport = { width, height: 800 };
    const { page, complaints, close } = await watchedPage(browser, { colorScheme: scheme, viewport });
    await page.goto(shipped.origin + path);
    expect(complaints).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    for (const href of await page.evaluate<string[]>('[...document.links].map((link) => link.getAttribute("href"))'))
      expect([href, (await fetch(shipped.origin + href)).status]).toEqual([href, 200]);
    const shots = process.env['FREEHOLD_TEST_SHOTS'];
    const name = path.replaceAll('/', '_');
    if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png`, fullPage: true });
    await close();
  });
});
