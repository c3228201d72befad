import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publish, registerNode, type TestNode } from '../grid/node.ts';
import { startApis, SYNC_TOKEN, type TestApis } from '../harness/apis.ts';
import { openBrowser, watchedPage, type WatchedPage } from './browser.ts';
import { banned, disputed, newcomer, sold, translator } from './portrait-world.ts';

const PUBLIC = 'https://freehold.test';
const HOSTILE = `"><script>document.title='hit'</script><img src=x onerror=alert(1)>`;

let world: TestApis;
let browser: Browser;
let founder: TestNode;
let skill: string;
/** What is shown, by a name for it. */
const paths: Record<string, string> = {};

beforeAll(async () => {
  [world, browser] = await Promise.all([startApis(), openBrowser()]);
  founder = await newcomer(world, 'translator-prime-07');
  skill = await translator(founder);
  await publish(founder, { label: 'Summary of a long text', price: 0.3 });
  await sold(world, founder, skill, 6);
  await disputed(world, founder, skill);
  const outcast = await registerNode(world, 'outcast');
  const lost = await translator(outcast, 'Gone for good');
  await banned(world, outcast.id, SYNC_TOKEN);
  const { body: sandbox } = await world.call('POST', '/v1/sandbox/nodes', { body: {} });
  Object.assign(paths, {
    node: `/nodes/${founder.id}`,
    'new-node': `/nodes/${(await registerNode(world, `long-${'x'.repeat(40)}_${'W'.repeat(54)}`)).id}`,
    'banned-node': `/nodes/${outcast.id}`,
    'sandbox-node': `/nodes/${sandbox.node_id}`,
    skill: `/skills/${skill}`,
    'banned-skill': `/skills/${lost}`,
    genesis: '/genesis',
    missing: '/nodes/nobody-here',
  });
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await world?.close();
});

const open = async (path: string, options: Parameters<typeof watchedPage>[1] = {}): Promise<WatchedPage> => {
  const watched = await watchedPage(browser, options);
  await watched.page.goto(world.origin + path);
  return watched;
};
const tag = ({ page }: WatchedPage, name: string) =>
  page
    .locator(`meta[property="${name}"], meta[name="${name}"]`)
    .evaluateAll((tags) => tags.map((found) => found.getAttribute('content'))[0] ?? null);
const words = async ({ page }: WatchedPage, selector: string) =>
  (await page.textContent(selector))?.replaceAll(/\s+/g, ' ').trim();

const VIEWS = [
  'node',
  'new-node',
  'banned-node',
  'sandbox-node',
  'skill',
  'banned-skill',
  'genesis',
  'missing',
].flatMap((name) =>
  [360, 1280].flatMap((width) => (['light', 'dark'] as const).map((scheme) => ({ name, width, scheme }))),
);

test.each(VIEWS)(
  'the page of a $name fits $width pixels in $scheme and loads nothing',
  async ({ name, width, scheme }) => {
    const watched = await open(paths[name] ?? '', { colorScheme: scheme, viewport: { width, height: 800 } });
    const { page, complaints, requested, close } = watched;
    expect(complaints.filter((text) => name !== 'missing' || !text.includes('404'))).toEqual([]);
    expect(requested.filter((url) => url !== world.origin + paths[name] && !url.startsWith('data:'))).toEqual([]);
    expect(await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(
      0,
    );
    const shots = process.env['FREEHOLD_TEST_SHOTS'];
    if (shots) await page.screenshot({ path: `${shots}/${name}-${width}-${scheme}.png`, fullPage: true });
    await close();
  },
);

describe('what a page shows is what its JSON says', () => {
  test('of a node', async () => {
    const { body } = await world.call('GET', `/v1/nodes/${founder.id}/profile`);
    expect(body).toMatchObject({
      node_id: founder.id,
      state: 'active',
      level: { name: 'Spawn' },
      genesis: { is_genesis: true, genesis_rank: 1 },
      stats: { skills_published: 2, trades_completed: 6, unique_counterparties: 6, disputes: 1, strikes: 0 },
      skills: [{ skill_id: skill, price_tck: '5.00' }, { label: 'Summary of a long text' }],
      page_url: `${PUBLIC}/nodes/${founder.id}`,
    });
    const watched = await open(paths['node'] ?? '');
    expect(await words(watched, 'h1')).toBe(founder.id);
    expect(await words(watched, '.receipt .sum dd')).toBe(body.cri_score.toFixed(1));
    expect(await words(watched, '.ring text')).toBe(body.cri_score.toFixed(1));
    expect(await watched.page.locator('.figures dd').allTextContents()).toEqual(['6', '0', '6', '1', '0']);
    expect(await watched.page.locator('.offers a').allTextContents()).toEqual(
      body.skills.map(({ label }: { label: string }) => label),
    );
    await watched.close();
  });

  test('of a node: its points add up to its index', async () => {
    const watched = await open(paths['node'] ?? '');
    const points = await watched.page.locator('.receipt dl div:not(.sum):not(.taken) dd').allTextContents();
    const taken = await watched.page.locator('.receipt .taken dd').allTextContents();
    const sum = points.reduce((total, text) => total + Number.parseFloat(text), 0);
    const less = taken.reduce((total, text) => total + Number.parseFloat(text.replace('−', '')), 0);
    expect(taken.length).toBe(1);
    expect(sum - less).toBeCloseTo(Number(await words(watched, '.receipt .sum dd')), 0);
    await watched.close();
  });

  test('of a skill', async () => {
    const { body } = await world.call('GET', `/v1/skills/${skill}/page`);
    expect(body).toMatchObject({
      skill_id: skill,
      price_tck: '5.00',
      category: 'translation',
      seller: { node_id: founder.id, state: 'active' },
      stats: { tasks_completed: 6, tasks_disputed: 1, dispute_rate_pct: 14.3, unique_buyers: 6, turnover_tck: '30.00' },
    });
    const watched = await open(paths['skill'] ?? '');
    expect(await words(watched, 'h1')).toBe(body.label);
    expect(await words(watched, '.amount')).toBe('5.00 TCK');
    const rows = await watched.page.locator('.receipt dd').allTextContents();
    expect(rows).toEqual(['4.85', '0.15', '7', '14.3 %', '6', '30.00']);
    expect(await words(watched, '.seller strong')).toBe(founder.id);
    await watched.close();
  });

  test('of the founders', async () => {
    const { body } = await world.call('GET', '/v1/genesis/leaderboard');
    expect(body).toMatchObject({
      genesis_nodes: [{ rank: 1, node_id: founder.id, name: 'Ada’s translators', trades_completed: 6, active: true }],
      slots_total: 200,
      slots_filled: 1,
    });
    const watched = await open('/genesis');
    expect(await watched.page.locator('.seats rect').count()).toBe(200);
    expect(await watched.page.locator('.seats rect.taken').count()).toBe(1);
    expect(await words(watched, '.founders tbody th a')).toBe(founder.id);
    await watched.close();
  });
});

describe('whoever previews an address', () => {
  test.each(['node', 'skill', 'genesis'])('is told what the %s is, with its picture', async (name) => {
    const path = paths[name] ?? '';
    const watched = await open(path);
    for (const same of ['title', 'description', 'image'])
      expect(await tag(watched, `twitter:${same}`)).toBe(await tag(watched, `og:${same}`));
    expect(await tag(watched, 'og:title')).toBe(await watched.page.title());
    expect(await tag(watched, 'og:description')).toMatch(/\d/);
    expect(await tag(watched, 'og:url')).toBe(PUBLIC + path);
    expect(await tag(watched, 'og:image')).toBe(`${PUBLIC}${path}/preview.png`);
    expect([await tag(watched, 'og:image:width'), await tag(watched, 'og:image:height')]).toEqual(['1200', '630']);
    expect(await tag(watched, 'og:image:alt')).toBeTruthy();
    expect(await tag(watched, 'twitter:card')).toBe('summary_large_image');
    expect(await tag(watched, 'robots')).toBeNull();
    await watched.close();
  });

  test.each(['banned-node', 'sandbox-node', 'banned-skill'])('is asked to leave a %s out', async (name) => {
    const watched = await open(paths[name] ?? '');
    expect(await tag(watched, 'robots')).toBe('noindex');
    expect(await watched.page.locator('.notice').count()).toBe(1);
    expect(await watched.page.locator('#order').count()).toBe(0);
    await watched.close();
  });
});

const picture = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${world.origin}${path}/preview.png`, { headers });
const bytesOf = async (path: string): Promise<Buffer> => Buffer.from(await (await picture(path)).arrayBuffer());

describe('the picture of a page', () => {
  test.each(['node', 'new-node', 'banned-node', 'sandbox-node', 'skill', 'banned-skill', 'genesis'])(
    'is a PNG of 1200 by 630: %s',
    async (name) => {
      const reply = await picture(paths[name] ?? '');
      expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'image/png']);
      const png = Buffer.from(await reply.arrayBuffer());
      expect(png.subarray(1, 4).toString()).toBe('PNG');
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1_200, 630]);
      const shots = process.env['FREEHOLD_TEST_SHOTS'];
      if (shots) (await import('node:fs')).writeFileSync(`${shots}/picture-${name}.png`, png);
    },
  );

  test('is the same until what it shows changes', async () => {
    const seller = await registerNode(world);
    const before = await bytesOf(`/nodes/${seller.id}`);
    expect(await bytesOf(`/nodes/${seller.id}`)).toEqual(before);
    await publish(seller);
    expect(await bytesOf(`/nodes/${seller.id}`)).not.toEqual(before);
  });

  test('is not sent again to whoever has it', async () => {
    const path = paths['skill'] ?? '';
    const first = await picture(path);
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(first.headers.get('cache-control')).toBe('public, max-age=300');
    const again = await picture(path, { 'if-none-match': `"other", W/${etag}` });
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag]);
    expect((await picture(path, { 'if-none-match': '"other"' })).status).toBe(200);
  });

  test.each(['/nodes/nobody-here', '/skills/01890000-0000-7000-8000-000000000000'])(
    'of what there is not is not there: %s',
    async (path) => expect((await picture(path)).status).toBe(404),
  );
});

describe('what a seller writes', () => {
  const labels = {
    markup: HOSTILE,
    'the other direction': '\u202Egpj.exe\u202C evil',
    'another script': '数据解析 парсер محلل',
    emoji: '🚀🚀🚀',
    'a long word': 'W'.repeat(200),
    'characters that XML does not have': 'a\u0001b\uFFFEc\u{1FFFF}d',
    entities: '&lt;b&gt; &amp;amp; ]]> <![CDATA[',
  };

  test.each(Object.entries(labels))('runs nowhere and breaks nothing: %s', async (_what, label) => {
    const seller = await registerNode(world);
    const metadata = { description: `${label} ${HOSTILE}`, category: label.slice(0, 50), version: label.slice(0, 20) };
    const id = await publish(seller, { label, metadata: { ...metadata, input_schema: { title: label } } });
    for (const path of [`/skills/${id}`, `/nodes/${seller.id}`]) {
      const watched = await open(path, { viewport: { width: 360, height: 800 } });
      expect(await watched.page.title()).not.toBe('hit');
      expect(await watched.page.locator('body script, body img').count()).toBe(0);
      expect(watched.complaints).toEqual([]);
      expect(
        await watched.page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth'),
      ).toBeLessThanOrEqual(0);
      await watched.close();
      expect((await picture(path)).status).toBe(200);
    }
    const tags = await (await fetch(`${world.origin}/skills/${id}`)).text();
    expect(tags.slice(0, tags.indexOf('</head>'))).not.toMatch(/[\u202A-\u202E]/);
    const shown = await open(`/skills/${id}`);
    expect(await shown.page.textContent('h1 bdi')).toBe(label);
    await shown.close();
  });

  test.each([
    ['nothing', {}],
    ['other things than texts', { category: 7, description: ['x'], version: {}, validators: 'all', input_schema: 0 }],
    [
      'very much',
      {
        category: 'x'.repeat(10_000),
        description: 'word '.repeat(4_000),
        output_schema: { enum: Array(1_500).fill('value') },
      },
    ],
  ])('may be %s', async (_what, metadata) => {
    const id = await publish(await registerNode(world), { metadata });
    for (const path of [`/skills/${id}`, `/skills/${id}/preview.png`, `/v1/skills/${id}/page`])
      expect([path, (await world.call('GET', path)).status]).toEqual([path, 200]);
  });
});

test.each(['/nodes/nobody-here', "/nodes/1'%20or%20'1'='1", '/skills/nonsense', '/skills/..%2f..%2fetc'])(
  'what there is not is a page that says so: %s',
  async (path) => {
    const reply = await fetch(world.origin + path);
    expect([reply.status, reply.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
    expect(reply.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await reply.text()).toMatch(/No such (node|skill)/);
  },
);

test('people’s browsers see the pages, and are refused the JSON', async () => {
  const headers = { 'user-agent': 'Mozilla/5.0 Chrome/140.0' };
  expect((await fetch(`${world.origin}/nodes/${founder.id}`, { headers })).status).toBe(200);
  expect((await fetch(`${world.origin}/v1/nodes/${founder.id}/profile`, { headers })).status).toBe(406);
});
